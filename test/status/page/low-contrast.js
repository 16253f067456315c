/**
 * Runs in the page: texts whose contrast with what is behind them is below 4.5 (WCAG AA), each with its ratio.
 */
(() => {
  /** @param {string} colour */
  const parse = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  /** @param {number[]} rgb */
  const luminance = (rgb) => {
    const [r = 0, g = 0, b = 0] = rgb.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  /** @param {Element} element */
  const ground = (element) => {
    for (let at = /** @type {Element | null} */ (element); at !== null; at = at.parentElement) {
      const [r = 0, g = 0, b = 0, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
      if (alpha > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(
      (node) => node.nodeType === Node.TEXT_NODE && (node.nodeValue ?? "").trim() !== "",
    );
    if (!own || element.getClientRects().length === 0) continue;
    const colour = luminance(parse(getComputedStyle(element).color).slice(0, 3));
    const behind = luminance(ground(element));
    const ratio = (Math.max(colour, behind) + 0.05) / (Math.min(colour, behind) + 0.05);
    if (ratio < 4.5)
      low.push(`${ratio.toFixed(2)}: ${element.className} ${element.textContent?.slice(0, 40)}`);
  }
  return low;
})();
