# syntax=docker/dockerfile:1
# The command `brigade`, alone in an image: non-root, read-only root, one volume for the jobs.
#
#   docker build -t bucket-brigade .
#   docker run --rm --read-only -v brigade:/var/lib/bucket-brigade --env-file aws.env bucket-brigade cp s3://a/x/ s3://b/y/
#
# SIGTERM lets what is in flight finish (BRIGADE_ENGINE__GRACE_S, 20 s); give the container more than that to stop.

FROM python:3.13-slim AS build
ENV UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/bucket-brigade
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
WORKDIR /src
# The dependencies first: a change of the program alone leaves their layer as it is.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-default-groups --no-install-project
COPY src ./src
RUN uv sync --frozen --no-default-groups --no-editable

FROM python:3.13-slim
RUN install -d -m 0700 -o 65532 -g 65532 /var/lib/bucket-brigade
COPY --from=build /opt/bucket-brigade /opt/bucket-brigade
ENV PATH=/opt/bucket-brigade/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    BRIGADE_STATE_DIR=/var/lib/bucket-brigade
USER 65532:65532
VOLUME ["/var/lib/bucket-brigade"]
WORKDIR /var/lib/bucket-brigade
ENTRYPOINT ["brigade"]
CMD ["--help"]
