// SPDX-License-Identifier: Apache-2.0
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface NginxOptions {
  /** An existing directory of the caller's: configuration, pid file and temporary files. */
  readonly directory: string;
  /** Addresses as nginx writes them, such as `127.0.0.1:8080` or `[::1]:8080`. */
  readonly listen: readonly string[];
  /** `host:port` to pass everything to; without it nginx answers `ok` itself. */
  readonly upstream?: string;
  /** The upstream speaks TLS. */
  readonly upstreamTls?: boolean;
  /** A folder whose files nginx serves, by sendfile, in place of passing on. */
  readonly root?: string;
  /** Files of a certificate and its key: then it listens under TLS, with HTTP/2 where asked for. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Idle connections kept to the upstream; 0 opens one for each request. */
  readonly keepaliveConnections?: number;
}

/** One worker, a plain reverse proxy, nothing outside `directory`: runs without privileges. */
export function nginxConfig(options: NginxOptions): string {
  const { directory, listen, upstream, root, keepaliveConnections = 64 } = options;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const keep = keepaliveConnections > 0 ? `keepalive ${keepaliveConnections};` : "";
  const scheme = options.upstreamTls === true ? "https" : "http";
  const passing = `proxy_pass ${scheme}://next; proxy_http_version 1.1; proxy_set_header Connection "";`;
  const answering = upstream === undefined ? 'return 200 "ok\\n";' : passing;
  const secure = options.tls === undefined ? "" : " ssl http2";
  const certificate =
    options.tls === undefined
      ? ""
      : `    ssl_certificate ${options.tls.certificate};
    ssl_certificate_key ${options.tls.key};
`;
  return `daemon off;
worker_processes 1;
pid ${join(directory, "nginx.pid")};
error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000;
${temporary.map((one) => `  ${one}_temp_path ${join(directory, one)};`).join("\n")}
${upstream === undefined ? "" : `  upstream next { server ${upstream}; ${keep} }\n`}  server {
${listen.map((address) => `    listen ${address}${secure};`).join("\n")}
${certificate}    location / { ${root === undefined ? answering : `root ${root}; sendfile on;`} }
  }
}
`;
}

/** Writes the configuration and says how to start nginx in the foreground. */
export function prepareNginx(options: NginxOptions): {
  readonly command: string;
  readonly args: readonly string[];
} {
  mkdirSync(options.directory, { recursive: true });
  // A worker of a master that runs as root gives root up and must still reach its files.
  chmodSync(options.directory, 0o755);
  const file = join(options.directory, "nginx.conf");
  writeFileSync(file, nginxConfig(options));
  return { command: "nginx", args: ["-p", options.directory, "-e", "stderr", "-c", file] };
}
