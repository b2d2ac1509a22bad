// SPDX-License-Identifier: Apache-2.0

/** Nothing from elsewhere is loaded, nothing inline runs, nobody may frame the page. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** Of an address that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * Why a request with this `Host` must be refused: a page of somebody else could make its own name
 * point here, and would be let read what only this machine may.
 */
export function hostProblem(endpointHost: string, header: string | undefined): string | undefined {
  if (!isLoopback(endpointHost)) return undefined;
  const name = /^(?:\[([^\]]+)\]|([^:]*))(?::\d+)?$/.exec(header ?? "");
  const host = name?.[1] ?? name?.[2] ?? "";
  if (isLoopback(host.toLowerCase())) return undefined;
  return "this address is for localhost only: ask for http://localhost";
}
