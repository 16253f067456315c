import { z } from "zod";
import { CONTENT_TYPES } from "./exposition.ts";

/** A path of the API, as `/openapi.json` tells it. */
export interface PathDescription {
  readonly path: string;
  readonly summary: string;
  readonly schema: z.ZodType;
  /** Queries: name and meaning. */
  readonly queries?: Readonly<Record<string, string>>;
  /** Schema of the answer with `?verbose`, where that is another one. */
  readonly verbose?: z.ZodType;
  /** Statuses besides 200, of the same schema. */
  readonly also?: readonly number[];
  /** Other content types of the same answer. */
  readonly text?: readonly string[];
}

/** Content types of `/metrics` besides JSON. */
export const METRICS_TEXTS: readonly string[] = Object.values(CONTENT_TYPES);

function jsonSchema(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "output" });
  return rest;
}

/** The OpenAPI 3.1 document of these paths, from the schemas that type their answers. */
export function openApi(version: string, paths: readonly PathDescription[], error: z.ZodType): object {
  const refused = {
    description: "Not answered; `error` says why.",
    content: { "application/json": { schema: jsonSchema(error) } },
  };
  const pathOf = ({
    path,
    summary,
    schema,
    queries = {},
    verbose,
    also = [],
    text = [],
  }: PathDescription) => {
    const shapes = verbose === undefined ? jsonSchema(schema) : { anyOf: [schema, verbose].map(jsonSchema) };
    const type = path === "/events" ? "text/event-stream" : "application/json";
    const answer = {
      description: summary,
      content: {
        [type]: { schema: shapes },
        ...Object.fromEntries(text.map((one) => [one, { schema: { type: "string" } }])),
      },
    };
    return {
      get: {
        summary,
        parameters: Object.entries(queries).map(([name, description]) => ({
          name,
          in: "query",
          description,
          allowEmptyValue: true,
          schema: { type: "string" },
        })),
        responses: {
          200: answer,
          ...Object.fromEntries(also.map((status) => [status, answer])),
          ...(also.includes(503) ? {} : { 503: refused }),
        },
      },
    };
  };
  return {
    openapi: "3.1.0",
    info: { title: "tapedeck status API", version, description: "Read-only; GET and HEAD." },
    paths: Object.fromEntries(paths.map((one) => [one.path, pathOf(one)])),
  };
}
