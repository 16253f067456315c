/** Templates: whatever comes from outside stays text. */
import { describe, expect, test } from "bun:test";
import { html } from "../../../src/status/page/html.ts";

describe("html", () => {
  test("escapes texts and attribute values", () => {
    const hostile = `<img src=x onerror="alert('1')">&amp;`;
    expect(html`<td title="${hostile}">${hostile}</td>`.text).toBe(
      '<td title="&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;amp;">' +
        "&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;amp;</td>",
    );
  });

  test("takes markup as it is, lists joined, null as nothing", () => {
    const items = ["a<", "币安人生USDT"].map((name) => html`<li>${name}</li>`);
    expect(html`<ul>${items}${null}${7}</ul>`.text).toBe("<ul><li>a&lt;</li><li>币安人生USDT</li>7</ul>");
  });

  test("refuses a line break within a tag, which would join two attributes", () => {
    expect(
      () => html`<p
        class="x">text</p>`,
    ).toThrow("a line break within a tag");
  });

  test("is one line, whatever is in it, and well-formed", () => {
    const { text } = html`
      <p>
        ${"one\r\ntwo\u0000\u001b[31m\ud83d"}
      </p>`;
    expect(text).toBe("<p>one&#13;&#10;two\ufffd\ufffd[31m\ufffd</p>");
  });
});
