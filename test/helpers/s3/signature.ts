/** AWS Signature Version 4 as a server checks it, written from the protocol's description and from nothing of ours. */
import { createHash, createHmac } from "node:crypto";

/** A request as it came over the wire. */
export interface SignedRequest {
  readonly method: string;
  /** Path and query, not decoded. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Keys that are known. */
export interface Keys {
  readonly accessKey: string;
  readonly secretKey: string;
}

/** Longest distance between the clocks of the two sides, ms. */
const SKEW_MAX = 15 * 60_000;

const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text, "utf8").digest();
const hex = (text: string) => createHash("sha256").update(text, "utf8").digest("hex");

/** The error that a server answers with; null = the signature is right. `now` is the server's clock, ms. */
export function signatureFault(request: SignedRequest, keys: Keys, now: number): string | null {
  const header = (name: string): string => String(request.headers[name] ?? "");
  const parts =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      header("authorization"),
    );
  if (parts === null) return "AccessDenied";
  const [, accessKey = "", day = "", region = "", signed = "", signature = ""] = parts;
  if (accessKey !== keys.accessKey) return "InvalidAccessKeyId";
  const date = header("x-amz-date");
  const at = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  if (!(Math.abs(at - now) <= SKEW_MAX) || !date.startsWith(day)) return "RequestTimeTooSkewed";
  const names = signed.split(";");
  if (!names.includes("host") || !names.includes("x-amz-content-sha256")) return "SignatureDoesNotMatch";
  const [path = "", query = ""] = request.url.split("?");
  const canonicalQuery = query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => (pair.includes("=") ? pair : `${pair}=`))
    .sort()
    .join("&");
  const canonical = [
    request.method,
    path,
    canonicalQuery,
    ...names.map((name) => `${name}:${header(name).trim().replace(/ +/g, " ")}`),
    "",
    signed,
    header("x-amz-content-sha256"),
  ].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const toSign = ["AWS4-HMAC-SHA256", date, scope, hex(canonical)].join("\n");
  const key = hmac(hmac(hmac(hmac(`AWS4${keys.secretKey}`, day), region), "s3"), "aws4_request");
  return hmac(key, toSign).toString("hex") === signature ? null : "SignatureDoesNotMatch";
}
