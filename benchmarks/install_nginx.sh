#!/bin/sh
# The null S3 server needs nginx with its Lua module: install them where that is possible, else say what to do.
set -eu
PATH=$PATH:/usr/sbin:/usr/local/sbin

present() {
    command -v nginx >/dev/null && ls /usr/lib/nginx/modules/ngx_http_lua_module.so /usr/lib64/nginx/modules/ngx_http_lua_module.so \
        /usr/share/nginx/modules/ngx_http_lua_module.so 2>/dev/null | grep -q .
}

present && exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light libnginx-mod-http-lua openssl >/dev/null ||
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx libnginx-mod-http-lua openssl >/dev/null
fi
present && exit 0
echo "The benchmarks need nginx with Lua. On Debian or Ubuntu:" >&2
echo "    sudo apt-get install nginx libnginx-mod-http-lua openssl" >&2
echo "It is only run as a process of the benchmark, on loopback; the system's own nginx service is not used." >&2
exit 1
