-- A null S3: answers as S3 does and keeps nothing but sizes. Buckets named synth-COUNT-SIZE hold COUNT objects of SIZE bytes;
-- every other bucket takes what it is given. Signatures are not checked: what is measured is the client.
local listing = require("listing")
local M = {}

local ngx, var, header = ngx, ngx.var, ngx.header
-- Of each checksum: nginx's variable for the request header, the header of the answer, the XML element.
local CHECKSUMS = {
    { "http_x_amz_checksum_crc64nvme", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME" },
    { "http_x_amz_checksum_crc32", "x-amz-checksum-crc32", "ChecksumCRC32" },
    { "http_x_amz_checksum_crc32c", "x-amz-checksum-crc32c", "ChecksumCRC32C" },
    { "http_x_amz_checksum_sha1", "x-amz-checksum-sha1", "ChecksumSHA1" },
    { "http_x_amz_checksum_sha256", "x-amz-checksum-sha256", "ChecksumSHA256" },
}
local XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
local NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
-- Not an MD5, and not of the form of one: nobody may compare it with content. S3 does the same for SSE-KMS objects.
local SINK_ETAG = '"00000000000000000000000000000000-1"'
local IN_MEMORY = 128 * 1024
local CHUNK = 64 * 1024

local objects, folder = {}, nil
-- `stored` maps "bucket/key" to a size, or to a table where the ETag is of its own: numbers are cheap to keep.
local stats, stored, uploads, delay_s, last_upload = {}, {}, {}, 0, 0

-- A token bucket of `per_s` requests a second, none while it is nil; what it holds is `burst_s` seconds' worth.
local limit = {}

function M.start(table_path, objects_folder)
    objects, folder = dofile(table_path), objects_folder
    for size, object in pairs(objects) do
        if size <= IN_MEMORY then
            local file = assert(io.open(folder .. size, "rb"))
            object.content = file:read("*a")
            file:close()
        end
    end
end

local function count(name, amount)
    stats[name] = (stats[name] or 0) + (amount or 1)
end

local function send(status, body)
    if delay_s > 0 then ngx.sleep(delay_s) end
    ngx.status = status
    header["Content-Length"] = body and #body or 0
    if body then
        header["Content-Type"] = "application/xml"
        ngx.print(body)
    else
        ngx.send_headers()
    end
end

local function refuse(status, code)
    count("refused")
    count("refused " .. code)
    send(status, XML .. "<Error><Code>" .. code .. "</Code><Message>null S3: " .. code .. "</Message></Error>")
end

-- Reads the body to its end (ngx.req.socket answers Expect: 100-continue) and returns its length and its last bytes (where aws-chunked trailers stand).
local function drain()
    local length = tonumber(var.content_length)
    if not length or length <= IN_MEMORY then
        ngx.req.read_body()
        local body = ngx.req.get_body_data()
        if not body then
            local name = ngx.req.get_body_file()
            local file = name and io.open(name, "rb")
            body = file and file:read("*a") or ""
            if file then file:close() end
        end
        return #body, body
    end
    local socket, left, chunk = assert(ngx.req.socket()), length, ""
    socket:settimeout(120000)
    while left > 0 do
        chunk = assert(socket:receive(left < CHUNK and left or CHUNK))
        left = left - #chunk
    end
    return length, chunk
end

-- Puts the checksums of the request, from its headers or its trailer, into the answer; returns them as XML.
local function echo_checksums(tail)
    local xml = ""
    for i = 1, #CHECKSUMS do
        local checksum = CHECKSUMS[i]
        local value = var[checksum[1]]
        if value then
            header[checksum[2]] = value
            xml = xml .. "<" .. checksum[3] .. ">" .. value .. "</" .. checksum[3] .. ">"
            break -- a request carries one at most
        end
    end
    if var.http_x_amz_trailer then
        local name, value = tail:sub(-256):match("x%-amz%-checksum%-(%w+):([%w+/=]+)")
        if name then header["x-amz-checksum-" .. name] = value end
    end
    local type = var.http_x_amz_checksum_type
    if type then header["x-amz-checksum-type"] = type end
    return xml
end

local function sink_etag()
    local md5 = var.http_content_md5
    local digest = md5 and ngx.decode_base64(md5)
    if not digest then return SINK_ETAG end
    return '"' .. digest:gsub(".", function(char) return ("%02x"):format(char:byte()) end) .. '"'
end

local function synthetic(bucket)
    local total, size = bucket:match("^synth%-(%d+)%-(%d+)$")
    if not total then return nil end
    return tonumber(total), objects[tonumber(size)]
end

-- The (size, etag, checksum) of what stands at bucket/key, or nil.
local function find(bucket, key)
    local total, object = synthetic(bucket)
    if total then return listing.index(key, total) and object or nil end
    local size = stored[bucket .. "/" .. key]
    return type(size) == "number" and { size = size, etag = SINK_ETAG:sub(2, -2) } or size
end

local function put(bucket, key)
    local length, tail = drain()
    local size = tonumber(var.http_x_amz_decoded_content_length) or length
    count("put")
    count("bytes_in", size)
    local etag = sink_etag()
    header["ETag"] = etag
    echo_checksums(tail)
    stored[bucket .. "/" .. key] = etag == SINK_ETAG and size or { size = size, etag = etag:sub(2, -2) }
    send(200)
end

local function upload_part(args)
    local length, tail = drain()
    local size = tonumber(var.http_x_amz_decoded_content_length) or length
    local upload = uploads[args.uploadId]
    if not upload then return refuse(404, "NoSuchUpload") end
    count("upload_part")
    count("bytes_in", size)
    upload[args.partNumber] = size
    header["ETag"] = sink_etag()
    echo_checksums(tail)
    send(200)
end

local function source_of_copy()
    local source = ngx.unescape_uri(var.http_x_amz_copy_source):gsub("%?versionId=.*$", "")
    local bucket, key = source:match("^/?([^/]+)/(.*)$")
    return bucket and find(bucket, key)
end

local function copy_result(name, object)
    local checksum = object.crc64nvme
    return XML .. "<" .. name .. NAMESPACE .. "><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;" .. object.etag .. "&quot;</ETag>"
        .. (checksum and "<ChecksumCRC64NVME>" .. checksum .. "</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>" or "")
        .. "</" .. name .. ">"
end

local function copy(bucket, key)
    local object = source_of_copy()
    if not object then return refuse(404, "NoSuchKey") end
    count("copy")
    stored[bucket .. "/" .. key] = object
    send(200, copy_result("CopyObjectResult", object))
end

local function upload_part_copy(args)
    local object, upload = source_of_copy(), uploads[args.uploadId]
    if not object then return refuse(404, "NoSuchKey") end
    if not upload then return refuse(404, "NoSuchUpload") end
    count("upload_part_copy")
    local first, last = (var.http_x_amz_copy_source_range or ""):match("^bytes=(%d+)%-(%d+)$")
    upload[args.partNumber] = first and last - first + 1 or object.size
    send(200, copy_result("CopyPartResult", { etag = object.etag }))
end

local function create_upload(bucket, key)
    last_upload = last_upload + 1
    local id = "upload-" .. last_upload
    uploads[id] = {}
    count("create_upload")
    local algorithm, type = var.http_x_amz_checksum_algorithm, var.http_x_amz_checksum_type
    if algorithm then header["x-amz-checksum-algorithm"] = algorithm end
    if type then header["x-amz-checksum-type"] = type end
    send(200, XML .. "<InitiateMultipartUploadResult" .. NAMESPACE .. "><Bucket>" .. bucket .. "</Bucket><Key>" .. key
        .. "</Key><UploadId>" .. id .. "</UploadId></InitiateMultipartUploadResult>")
end

local function complete_upload(bucket, key, args)
    drain()
    local upload = uploads[args.uploadId]
    if not upload then return refuse(404, "NoSuchUpload") end
    local size = 0
    for _, part_size in pairs(upload) do size = size + part_size end
    local announced = tonumber(var.http_x_amz_mp_object_size)
    if announced and announced ~= size then return refuse(400, "InvalidRequest") end
    count("complete_upload")
    uploads[args.uploadId] = nil
    stored[bucket .. "/" .. key] = size
    local checksums = echo_checksums("")
    send(200, XML .. "<CompleteMultipartUploadResult" .. NAMESPACE .. "><Location>/" .. bucket .. "/" .. key .. "</Location><Bucket>"
        .. bucket .. "</Bucket><Key>" .. key .. "</Key><ETag>&quot;" .. SINK_ETAG:sub(2, -2) .. "&quot;</ETag>" .. checksums
        .. (checksums ~= "" and "<ChecksumType>" .. (var.http_x_amz_checksum_type or "FULL_OBJECT") .. "</ChecksumType>" or "")
        .. "</CompleteMultipartUploadResult>")
end

local function delete_many()
    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    if not body then
        local file = assert(io.open(assert(ngx.req.get_body_file()), "rb"))
        body = file:read("*a")
        file:close()
    end
    local quiet = body:find("<Quiet>true</Quiet>", 1, true)
    local out, n = { XML, "<DeleteResult", NAMESPACE, ">" }, 0
    for key in body:gmatch("<Key>(.-)</Key>") do
        n = n + 1
        if not quiet then
            local at = #out
            out[at + 1], out[at + 2], out[at + 3] = "<Deleted><Key>", key, "</Key></Deleted>"
        end
    end
    out[#out + 1] = "</DeleteResult>"
    count("delete_many")
    count("deleted", n)
    send(200, table.concat(out))
end

local function describe(object)
    header["ETag"] = '"' .. object.etag .. '"'
    header["Last-Modified"] = "Thu, 01 Jan 2026 00:00:00 GMT"
    if object.crc64nvme and not var.http_range and var.http_x_amz_checksum_mode then
        header["x-amz-checksum-crc64nvme"] = object.crc64nvme
        header["x-amz-checksum-type"] = "FULL_OBJECT"
    end
end

local function head(bucket, key)
    local object = find(bucket, key)
    if not object then
        count("head_missing")
        return send(404)
    end
    count("head")
    if delay_s > 0 then ngx.sleep(delay_s) end
    describe(object)
    header["Content-Length"] = object.size
    ngx.send_headers()
end

local function get(bucket, key)
    local object = find(bucket, key)
    if not object or not objects[object.size] then return refuse(404, "NoSuchKey") end
    count("get")
    if delay_s > 0 then ngx.sleep(delay_s) end
    describe(object)
    local range = var.http_range
    if object.content and not range and not var.http_if_match and not var.http_if_none_match then
        count("bytes_out", object.size)
        header["Content-Length"] = object.size
        return ngx.print(object.content)
    end
    -- nginx answers ranges and conditions itself, and sends big bodies from the file without touching them.
    local first, last = (range or ""):match("^bytes=(%d+)%-(%d*)$")
    last = first and math.min(tonumber(last) or object.size - 1, object.size - 1)
    count("bytes_out", first and last - first + 1 or object.size)
    return ngx.exec("/-objects/" .. object.size)
end

local function list(bucket, args)
    local total, object = synthetic(bucket)
    if total and not object then return refuse(404, "NoSuchBucket") end
    local page, keys
    if total then page, keys = listing.page(bucket, total, object, args) else page, keys = listing.empty(bucket, args) end
    count("list")
    count("listed", keys)
    send(200, page)
end

local function bucket_request(method, bucket, args)
    if method == "HEAD" then
        header["x-amz-bucket-region"] = "us-east-1"
        return send(200)
    end
    if method == "PUT" then
        drain()
        return send(200)
    end
    if method == "DELETE" then return send(204) end
    if method == "POST" and args.delete then return delete_many() end
    if method ~= "GET" then return refuse(405, "MethodNotAllowed") end
    if args.location then return send(200, XML .. "<LocationConstraint" .. NAMESPACE .. "/>") end
    if args.versioning then return send(200, XML .. "<VersioningConfiguration" .. NAMESPACE .. "/>") end
    if args.uploads then return send(200, XML .. "<ListMultipartUploadsResult" .. NAMESPACE .. "><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>") end
    return list(bucket, args)
end

local function list_buckets()
    send(200, XML .. "<ListAllMyBucketsResult" .. NAMESPACE .. "><Owner><ID>null</ID></Owner><Buckets></Buckets></ListAllMyBucketsResult>")
end

local function object_request(method, bucket, key, args)
    if args.tagging then return send(200, XML .. "<Tagging" .. NAMESPACE .. "><TagSet/></Tagging>") end
    if method == "GET" then return get(bucket, key) end
    if method == "HEAD" then return head(bucket, key) end
    if method == "PUT" then
        local copying = var.http_x_amz_copy_source
        if args.uploadId then return (copying and upload_part_copy or upload_part)(args) end
        return (copying and copy or put)(bucket, key)
    end
    if method == "DELETE" then
        if args.uploadId then
            uploads[args.uploadId] = nil
            count("abort_upload")
        else
            stored[bucket .. "/" .. key] = nil
            count("deleted")
        end
        return send(204)
    end
    if method == "POST" and args.uploads then return create_upload(bucket, key) end
    if method == "POST" and args.uploadId then return complete_upload(bucket, key, args) end
    return refuse(501, "NotImplemented")
end

local NO_ARGS = {}

-- Whether the limit lets another request in; counts, for each bucket, what was let in.
local function admits()
    local now, most = ngx.now(), limit.per_s * limit.burst_s
    limit.tokens = math.min(most, limit.tokens + (now - limit.at) * limit.per_s)
    limit.at = now
    if limit.tokens < 1 then return false end
    limit.tokens = limit.tokens - 1
    count("admitted " .. var.uri:match("^/([^/]*)"))
    return true
end

function M.answer()
    count("requests")
    if limit.per_s and not admits() then
        drain()
        return refuse(503, "SlowDown")
    end
    local method, path, query = ngx.req.get_method(), var.uri, var.args
    local args = query and ngx.req.get_uri_args(100) or NO_ARGS
    local bucket, key = path:match("^/([^/]+)/?(.*)$")
    if not bucket then return list_buckets() end
    if key == "" then return bucket_request(method, bucket, args) end
    return object_request(method, bucket, key, args)
end

-- /-control/stats: counters as "name value" lines. /-control/reset: to zero, and forget what was stored. /-control/delay?ms=N
-- /-control/limit?per_s=N&burst_s=S: answer 503 SlowDown beyond N requests a second; 0 ends that.
function M.control()
    local action = var.uri:match("^/%-control/(%w+)$")
    if action == "delay" then
        delay_s = tonumber(ngx.req.get_uri_args().ms) / 1000
    elseif action == "limit" then
        local args = ngx.req.get_uri_args()
        local per_s, burst_s = tonumber(args.per_s), tonumber(args.burst_s)
        limit = per_s > 0 and { per_s = per_s, burst_s = burst_s, tokens = per_s * burst_s, at = ngx.now() } or {}
    elseif action == "reset" then
        stats, stored, uploads = {}, {}, {}
        collectgarbage()
    elseif action ~= "stats" then
        return ngx.exit(404)
    end
    for name, value in pairs(stats) do ngx.say(("%s=%d"):format(name, value)) end
end

return M
