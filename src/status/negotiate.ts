/** Which form of `/metrics` a client wants. */

/** JSON, or one of Prometheus' text formats. */
export type MetricsForm = "json" | "text" | "openmetrics";

const FORMS: Readonly<Record<string, MetricsForm>> = {
  "application/json": "json",
  "application/openmetrics-text": "openmetrics",
  "text/plain": "text",
  "text/*": "text",
  "*/*": "json",
  "application/*": "json",
};

/** Characters of an Accept header that are read. */
const HEADER_MAX = 1000;

/**
 * The form of the highest quality that the client names, the first of several; JSON where it names none of them. A
 * Prometheus server asks for its own formats by itself.
 */
export function metricsForm(accept: string | null): MetricsForm {
  let best: MetricsForm = "json";
  let highest = 0;
  for (const range of (accept ?? "").slice(0, HEADER_MAX).split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const form = FORMS[type];
    const given = parameters.find((one) => one.startsWith("q="));
    const quality = given === undefined ? 1 : Number(given.slice(2));
    if (form === undefined || !(quality > highest)) continue;
    highest = quality;
    best = form;
  }
  return best;
}
