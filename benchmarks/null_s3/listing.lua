-- Listings of a synthetic bucket: `count` objects of one size, keys k/00000000, k/00000001, ... (byte order = number order).
local M = {}

local format, concat = string.format, table.concat
local PREFIX = "k/"
local MODIFIED = "2026-01-01T00:00:00.000Z"

function M.key(index)
    return format("k/%08d", index)
end

-- The index of a key of this bucket, or nil.
function M.index(key, count)
    local digits = key:match("^k/(%d%d%d%d%d%d%d%d)$")
    local index = digits and tonumber(digits)
    return index and index < count and index or nil
end

-- The smallest index in [0, count] for which `reached(key)` holds; reached must be monotonic.
local function bisect(count, reached)
    local low, high = 0, count
    while low < high do
        local middle = math.floor((low + high) / 2)
        if reached(M.key(middle)) then high = middle else low = middle + 1 end
    end
    return low
end

local function first_after(count, text)
    return bisect(count, function(key) return key > text end)
end

local function prefix_range(count, prefix)
    local first = bisect(count, function(key) return key >= prefix end)
    local last = bisect(count, function(key) return key > prefix and key:sub(1, #prefix) ~= prefix end)
    return first, last
end

local function escape_xml(text)
    return (text:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub(">", "&gt;"):gsub("\r", "&#13;"))
end

local function escape_url(text)
    return (text:gsub("[^%w%-_%.~/]", function(char) return format("%%%02X", char:byte()) end))
end

local function echo(args, name, encode)
    local value = args[name]
    return type(value) == "string" and encode(value) or ""
end

local function element(out, name, value)
    out[#out + 1] = "<" .. name .. ">" .. value .. "</" .. name .. ">"
end

-- The XML of one page. `args` are the decoded query arguments, `object` has size, etag and checksum of every object.
function M.page(bucket, count, object, args)
    local v2 = args["list-type"] == "2"
    local encode = args["encoding-type"] == "url" and escape_url or escape_xml
    local prefix = type(args.prefix) == "string" and args.prefix or ""
    local limit = math.min(tonumber(args["max-keys"]) or 1000, 1000)
    local first, last = prefix_range(count, prefix)
    local after = v2 and args["start-after"] or args.marker
    if type(after) == "string" and after ~= "" then first = math.max(first, first_after(count, after)) end
    local token = v2 and args["continuation-token"]
    if type(token) == "string" then first = math.max(first, tonumber(token:match("^token%-(%d+)$")) or last) end

    -- With a delimiter, everything under k/ rolls up into one common prefix unless the prefix is inside it.
    local folded = args.delimiter == "/" and #prefix < #PREFIX and first < last
    if folded and type(after) == "string" and after:sub(1, #PREFIX) == PREFIX then folded, first = false, last end
    local stop = folded and first or math.min(first + limit, last)
    local truncated = not folded and stop < last and limit > 0

    local out = { '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' }
    element(out, "Name", bucket)
    element(out, "Prefix", encode(prefix))
    if args.delimiter then element(out, "Delimiter", echo(args, "delimiter", encode)) end
    if args["encoding-type"] then element(out, "EncodingType", "url") end
    element(out, "MaxKeys", limit)
    element(out, "IsTruncated", tostring(truncated))
    if v2 then
        element(out, "KeyCount", folded and 1 or stop - first)
        if args["start-after"] then element(out, "StartAfter", echo(args, "start-after", encode)) end
        if token then element(out, "ContinuationToken", echo(args, "continuation-token", escape_xml)) end
        if truncated then element(out, "NextContinuationToken", format("token-%d", stop)) end
    else
        element(out, "Marker", echo(args, "marker", encode))
        if truncated then element(out, "NextMarker", M.key(stop - 1)) end
    end
    local tail = "</Key><LastModified>" .. MODIFIED .. "</LastModified><ETag>&quot;" .. object.etag .. "&quot;</ETag>"
        .. "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
        .. "<Size>" .. format("%d", object.size) .. "</Size><StorageClass>STANDARD</StorageClass></Contents>"
    local n = #out
    for index = first, stop - 1 do
        out[n + 1], out[n + 2], out[n + 3] = "<Contents><Key>", M.key(index), tail
        n = n + 3
    end
    if folded then out[n + 1] = "<CommonPrefixes><Prefix>k/</Prefix></CommonPrefixes>" end
    out[#out + 1] = "</ListBucketResult>"
    return concat(out), folded and 0 or stop - first
end

-- A page of a bucket that holds nothing.
function M.empty(bucket, args)
    return M.page(bucket, 0, { etag = "", size = 0 }, args)
end

return M
