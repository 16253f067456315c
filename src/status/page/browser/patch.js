/** Changes what is shown into what should be, touching only what differs: selections, focus and scrolling stay. */

/**
 * Makes an element equal to another one of the same tag: attributes and everything below.
 *
 * Children with a `data-key` are found again wherever they have moved to; others are compared in their order.
 *
 * @param {Element} shown is changed
 * @param {Element} wanted is taken apart
 */
export function patch(shown, wanted) {
  for (const name of shown.getAttributeNames()) {
    if (!wanted.hasAttribute(name)) shown.removeAttribute(name);
  }
  for (const name of wanted.getAttributeNames()) {
    const value = wanted.getAttribute(name) ?? "";
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
  let at = shown.firstChild;
  for (const child of [...wanted.childNodes]) {
    const match = find(at, child);
    if (match === null) {
      shown.insertBefore(child, at);
      continue;
    }
    // What stands between has no place any more, unless it is wanted further on: then it is found there.
    if (match === at) at = match.nextSibling;
    else shown.insertBefore(match, at);
    if (match instanceof Element && child instanceof Element) patch(match, child);
    else if (match.nodeValue !== child.nodeValue) match.nodeValue = child.nodeValue;
  }
  while (at !== null) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/**
 * The node that may become `wanted`, from `at` on.
 *
 * @param {ChildNode | null} at
 * @param {ChildNode} wanted
 * @returns {ChildNode | null}
 */
function find(at, wanted) {
  if (!(wanted instanceof Element)) return at?.nodeType === wanted.nodeType ? at : null;
  const key = wanted.getAttribute("data-key");
  for (let node = at; node !== null; node = node.nextSibling) {
    const fits =
      node instanceof Element && node.tagName === wanted.tagName && node.getAttribute("data-key") === key;
    if (fits) return node;
    // Without a key only the very next one is meant.
    if (key === null) return null;
  }
  return null;
}
