-- wrk: each request has a line that none before it had, so that nothing a proxy remembers of whole heads helps.
local count = 0

request = function()
  count = count + 1
  wrk.headers["X-Request-Number"] = count
  return wrk.format()
end
