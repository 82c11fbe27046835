from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.s3.templates import Template

NAMES = ("path", "x-amz-date", "?versionId")
text = st.text("ab%()s\r\n", max_size=12) | st.just("%(path)s")
values = st.fixed_dictionaries(dict.fromkeys(NAMES, text))


@st.composite
def templates(draw: st.DrawFn) -> str:
    fixed = [piece.replace("%", "%%") for piece in draw(st.lists(text, min_size=1, max_size=6))]
    return "".join(piece + f"%({draw(st.sampled_from(NAMES))})s" for piece in fixed[:-1]) + fixed[-1]


@given(templates(), values, st.sets(st.sampled_from(NAMES)))
def test_a_template_is_filled_as_python_fills_it(template: str, values: dict[str, str], early: set[str]) -> None:
    assert Template.parse(template).fill(values) == template % values

    given_first = Template.parse(template).given({name: values[name] for name in early})
    late = {name: value for name, value in values.items() if name not in early}
    assert given_first.fill(late) == template % values
