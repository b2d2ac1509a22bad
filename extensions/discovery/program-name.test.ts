// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { programName, runtimeName } from "./program-name.ts";

interface Case {
  readonly exe: string;
  readonly line: string;
  readonly name: string;
  readonly cwd?: string;
  readonly files?: Readonly<Record<string, string>>;
}

function nameOf({ exe, line, cwd = "/srv", files = {} }: Case): string {
  const readText = (path: string): string | undefined => files[path];
  return programName({ exe, args: line.split(" "), workingDirectory: cwd, readText });
}

function check(exe: string, cases: Readonly<Record<string, string>>): void {
  for (const [line, name] of Object.entries(cases)) {
    assert.equal(nameOf({ exe, line, name }), name, line);
  }
}

test("a program that interprets nothing is named by its executable", () => {
  check("/usr/sbin/nginx", { "nginx: worker process": "nginx" });
  check("/opt/shop/bin/cart", { "./cart --port 80": "cart" });
  check("/bin/busybox", { "/usr/sbin/httpd -f": "httpd" });
  check("", { "": "unknown", "-bash": "bash" });
});

test("Python is named by its script, module or application", () => {
  check("/usr/bin/python3.11", {
    "python3 prices.py": "prices",
    "python3 -u -W ignore /srv/prices.py --port 80": "prices",
    "python3 -m http.server 80": "http.server",
    "python3 -um shop.web": "shop.web",
    "python3 -X dev -m shop.__main__": "shop",
    "python3 -c import x": "python3.11",
    "python3 -": "python3.11",
    python3: "python3.11",
    "python3 /srv/cart/manage.py runserver": "cart",
    "python3 manage.py runserver": "srv",
    "/usr/bin/python3 /usr/local/bin/gunicorn -w 4 shop.wsgi:app": "shop",
    "python3 /usr/bin/gunicorn wsgi:app": "gunicorn",
    "python3 -m uvicorn orders.main:create_app() --factory": "orders",
    "python3 /usr/bin/celery -A tasks worker": "celery",
  });
});

test("Node is named by its script, or by its package when the script says nothing", () => {
  check("/usr/local/bin/node", {
    "node orders.mjs": "orders",
    "node --import ./otel.mjs --max-old-space-size=512 /srv/orders.js": "orders",
    "node -r ts-node/register orders.ts": "orders",
    "node -e 1": "node",
    node: "node",
    "node --inspect /srv/cart/dist/index.js": "cart",
    "node inspect /srv/ship.cjs": "ship",
  });
  const files = { "/srv/app/package.json": '{"name":"@acme/checkout"}' };
  assert.equal(
    nameOf({ exe: "/bin/node", line: "node server.js", cwd: "/srv/app", files, name: "" }),
    "checkout",
  );
  const broken = { "/srv/app/package.json": "{" };
  assert.equal(
    nameOf({
      exe: "/bin/node",
      line: "node src/index.js",
      cwd: "/srv/shop",
      files: broken,
      name: "",
    }),
    "shop",
  );
});

test("Java is named by its archive or main class", () => {
  check("/usr/lib/jvm/bin/java", {
    "java -Xmx1g -jar /opt/orders-1.4.2.jar --port 80": "orders",
    "java -jar orders-1.4.2-SNAPSHOT.jar": "orders",
    "java -cp a.jar:b.jar com.acme.Shop": "Shop",
    "java -Dx=y --add-opens java.base/java.lang=ALL-UNNAMED com.acme.orders.Main": "orders",
    "java -p mods -m acme/com.acme.Cart": "Cart",
    "java Hello.java": "Hello",
  });
});

test("the other interpreters are named by their scripts", () => {
  check("/usr/bin/ruby3.1", { "ruby -I lib bin/shop.rb": "shop", "ruby -e 1": "ruby3.1" });
  check("/usr/bin/perl", { "perl -w /srv/mail.pl": "mail" });
  check("/usr/bin/php8.2", {
    "php -S 0.0.0.0:80 router.php": "router",
    "php artisan serve": "artisan",
  });
  check("/bin/dash", { "sh -e /srv/run.sh": "run", "sh -c ls": "dash", "-sh": "dash" });
  check("/usr/bin/bash", { "bash -o pipefail x.sh": "x", "bash -xc ls": "bash" });
  check("/usr/bin/dotnet", { "dotnet exec Shop.Api.dll": "Shop.Api", "dotnet run": "dotnet" });
  check("/usr/bin/deno", { "deno run -A cart.ts": "cart" });
});

test("a runtime is named only where the executable makes it obvious", () => {
  assert.equal(runtimeName({ exe: "/usr/bin/node", args: [] }), "nodejs");
  assert.equal(runtimeName({ exe: "/usr/bin/python3.11", args: [] }), "cpython");
  assert.equal(runtimeName({ exe: "/usr/bin/java", args: [] }), undefined);
  assert.equal(runtimeName({ exe: "/usr/sbin/nginx", args: [] }), undefined);
});
