/** The faults over HTTP: `POST /sim/faults`, `GET /sim/faults`, `DELETE /sim/faults` and `/sim/faults/7`. */
import type { FaultControl } from "./faults.ts";
import { FaultError } from "./model.ts";

/** Most characters of a fault. */
const BODY_CHARS_MAX = 100_000;
const PATH = /^\/sim\/faults(?:\/(\d{1,9}))?$/;

/** Answers what is about faults; undefined = it is not. */
export function faultsOverHttp(
  request: Request,
  url: URL,
  faults: FaultControl & { end(id: number): boolean },
): Response | Promise<Response> | undefined {
  const match = PATH.exec(url.pathname);
  if (match === null) return undefined;
  const [, id] = match;
  if (request.method === "GET" && id === undefined) return Response.json(faults.list());
  if (request.method === "POST" && id === undefined) return inject(request, faults);
  if (request.method === "DELETE") {
    if (id === undefined) return faults.endAll().then(() => Response.json(faults.list()));
    if (faults.end(Number(id)))
      return Response.json(faults.list().find((record) => record.id === Number(id)));
    return failure(404, "id", `no fault ${id} waits or is in force`);
  }
  return failure(405, "", "GET, POST a fault, or DELETE with or without /<id>");
}

async function inject(request: Request, faults: FaultControl): Promise<Response> {
  const body = await request.text();
  if (body.length > BODY_CHARS_MAX)
    return failure(413, "", `a fault has at most ${BODY_CHARS_MAX} characters`);
  let fault: unknown;
  try {
    fault = JSON.parse(body);
  } catch {
    return failure(400, "", 'this is no JSON; a fault is wanted, such as {"kind":"silence","forMs":5000}');
  }
  try {
    // `inject` checks whatever it is given.
    const { record } = faults.inject(fault as Parameters<FaultControl["inject"]>[0]);
    return Response.json(record, { status: 201 });
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    return failure(400, error.field, error.message);
  }
}

function failure(status: number, field: string, error: string): Response {
  return Response.json({ error, field }, { status });
}
