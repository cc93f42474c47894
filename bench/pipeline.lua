-- SPDX-License-Identifier: MIT
-- For wrk -s: sends requests in batches of 16 without waiting for the answers between.
local depth = 16

init = function(args)
    local batch = {}
    for i = 1, depth do
        batch[i] = wrk.format("GET", "/")
    end
    requests = table.concat(batch)
end

request = function()
    return requests
end
