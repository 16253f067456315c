import { describe, expect, test } from "bun:test";
import { parseProxyUrl, shownProxy } from "../../src/lib/proxy-url.ts";

describe("URLs of proxies", () => {
  test.each([
    ["http://proxy.example", "http", "proxy.example", 80, null],
    ["HTTPS://Proxy.Example/", "https", "proxy.example", 443, null],
    ["socks5://10.0.0.1", "socks5", "10.0.0.1", 1080, null],
    ["socks5://10.0.0.1:80", "socks5", "10.0.0.1", 80, null],
    ["https://proxy:80/", "https", "proxy", 80, null],
    ["socks5h://[::1]:9050", "socks5h", "::1", 9050, null],
    ["http://me:p%40ss%3A@proxy:8080", "http", "proxy", 8080, { user: "me", password: "p@ss:" }],
    ["http://me:p@ss@proxy:8080", "http", "proxy", 8080, { user: "me", password: "p@ss" }],
    ["http://token@proxy:8080", "http", "proxy", 8080, { user: "token", password: "" }],
    ["socks5://me:%C3%BC@proxy:1", "socks5", "proxy", 1, { user: "me", password: "ü" }],
  ] as const)("%s", (url, scheme, host, port, credentials) => {
    expect(parseProxyUrl(url)).toEqual({ scheme, host, port, credentials });
  });

  test.each([
    ["proxy:8080", "begins with none of http, https, socks5, socks5h"],
    ["ftp://secret@proxy", "begins with none of"],
    ["socks4://secret@proxy", "begins with none of"],
    ["http://", "host or port"],
    ["http://me:secret@", "host or port"],
    ["http://proxy:0", "port 0"],
    ["http://proxy:65536", "host or port"],
    ["http://proxy:8080/path", "something follows the port"],
    ["http://proxy:8080?x=secret", "something follows the port"],
    ["http://me:12/secret@proxy:1", "something follows the port"],
    ["http://me:12#secret@proxy:1", "something follows the port"],
    ["http://me:sec ret@proxy", "a blank"],
    ["http://me:secret%@proxy", "a % has to be written %25"],
    ["http://a%3Ab:secret@proxy", "the user holds a colon"],
    ["socks5://me@proxy", "the password is empty"],
    ["socks5://:secret@proxy", "the user is empty"],
    [`socks5://me:${"secret".repeat(43)}@proxy`, "255 bytes"],
  ])("%s is none", (url, why) => {
    let words = "";
    try {
      parseProxyUrl(url);
    } catch (error) {
      words = String(error);
    }
    expect(words).toContain(why);
    expect(words).not.toContain("secret");
  });

  test("user and password are not shown", () => {
    expect(shownProxy(parseProxyUrl("socks5h://me:secret@[::1]"))).toBe("socks5h://[::1]:1080");
  });
});
