// Requests to the station. What it refuses comes as an ApiError with the station's own words and the field.

export class ApiError extends Error {
  constructor(status, message, field = null) {
    super(message);
    this.status = status;
    this.field = field;
  }
}

let onUnauthorized = () => {};

/** Call `listener` when the station wants to know who asks. */
export function whenUnauthorized(listener) {
  onUnauthorized = listener;
}

/** Reading harms nothing: a connection that died unnoticed is tried again. */
export async function get(path) {
  for (let left = 3; ; left -= 1) {
    try {
      return await request("GET", path, undefined, READ_TIMEOUT_MS);
    } catch (error) {
      if (error.status !== 0 || left === 0) throw error;
    }
  }
}

export const post = (path, body = {}) => request("POST", path, body);
export const put = (path, body) => request("PUT", path, body);
export const remove = (path) => request("DELETE", path);

const READ_TIMEOUT_MS = 4000;
const TIMEOUT_MS = 30000;

async function request(method, path, body, timeoutMs = TIMEOUT_MS) {
  // The header proves that the agent's own page asks: docs/access.md.
  const headers = { Accept: "application/json", "X-Requested-With": "evse-agent" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method, headers, cache: "no-store", credentials: "same-origin",
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
  } catch (error) {
    const why = error.name === "TimeoutError" ? "It did not answer in time" : "It cannot be reached";
    throw new ApiError(0, method === "GET" ? `The station was asked. ${why}.` : `The station was asked. ${why}; whether it was done is not known.`);
  }
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  if (response.status === 401 && !path.endsWith("/session")) onUnauthorized();
  throw new ApiError(response.status, answer?.error ?? `HTTP ${response.status}`, answer?.field ?? null);
}
