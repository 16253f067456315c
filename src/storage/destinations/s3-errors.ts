/** What an error of the S3 protocol, of the SDK or of the network means. */
import { DestinationError, type Trouble } from "./destination.ts";

/** What can be read off an error, whoever made it. */
export interface ErrorFacts {
  /** Name that the server or the SDK gave it. */
  readonly name: string;
  readonly message: string;
  /** HTTP status; null = no answer came. */
  readonly status: number | null;
  /** Of the operating system or of Bun. */
  readonly code: string | null;
}

/** Errors that mean that no connection was made, so that nothing can have arrived. */
const NOT_CONNECTED: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ConnectionRefused",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "FailedToOpenSocket",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "ERR_TLS_CERT_ALTNAME_INVALID",
]);

/** Errors of reading a local file. */
const LOCAL_FAULTS: ReadonlySet<string> = new Set(["ENOENT", "EACCES", "EIO", "EISDIR"]);

/** Names of errors in the protocol's answers: what they mean and what mends it. */
const KNOWN: Readonly<Record<string, readonly [Trouble, string]>> = {
  NoSuchBucket: ["refused", "there is no such bucket; create it, or set BUCKET to one that there is"],
  InvalidBucketName: ["refused", "no bucket can have this name; set BUCKET"],
  InvalidAccessKeyId: ["refused", "the access key is not known there; set ACCESS_KEY"],
  InvalidSecurity: ["refused", "the access key is not known there; set ACCESS_KEY"],
  SignatureDoesNotMatch: ["refused", "the secret key is not that of the access key; set SECRET_KEY"],
  InvalidToken: ["refused", "the session token is not valid; set SESSION_TOKEN, or unset it"],
  ExpiredToken: ["refused", "the credentials have expired; give new ones"],
  TokenRefreshRequired: ["refused", "the credentials have expired; give new ones"],
  AccessDenied: ["refused", "this key may not do that; give it the rights of docs/providers.md"],
  AccountProblem: ["refused", "there is a problem with the account"],
  AllAccessDisabled: ["refused", "all access to the bucket is disabled"],
  AuthorizationHeaderMalformed: ["refused", "the region may be another one; set REGION"],
  PermanentRedirect: ["refused", "the bucket is in another region; set REGION and ENDPOINT"],
  MovedPermanently: ["refused", "the bucket is in another region; set REGION and ENDPOINT"],
  CredentialsProviderError: ["refused", "there are no credentials; set ACCESS_KEY and SECRET_KEY"],
  RequestTimeTooSkewed: ["clock", "this machine's clock is wrong; set it, by NTP"],
  RequestExpired: ["clock", "this machine's clock is wrong; set it, by NTP"],
  SlowDown: ["throttled", "too many requests at once"],
  ServiceUnavailable: ["throttled", "too many requests at once, or out of service"],
  TooManyRequests: ["throttled", "too many requests at once"],
  RequestLimitExceeded: ["throttled", "too many requests at once"],
  QuotaExceeded: ["full", "the quota is used up"],
  XMinioStorageFull: ["full", "the disk there is full"],
  BadDigest: ["file", "what arrived is not what was sent"],
  InvalidDigest: ["file", "the checksum was not taken"],
  XAmzContentSHA256Mismatch: ["file", "what arrived is not what was sent"],
  IncompleteBody: ["file", "not all of it arrived"],
  EntityTooLarge: ["file", "it is larger than the store takes"],
};

/** Reads what can be read off anything that was thrown. */
export function factsOf(error: unknown): ErrorFacts {
  const metadata = field(error, "$metadata");
  const status = field(metadata, "httpStatusCode");
  const code = field(error, "code") ?? field(field(error, "cause"), "code") ?? field(error, "errno");
  const name = error instanceof Error ? error.name : "Error";
  const known = field(error, "Code");
  return {
    // A body that is not the protocol's leaves the SDK without a name; the code may still have one.
    name: name === "Error" && typeof known === "string" ? known : name,
    message: error instanceof Error ? error.message : String(error),
    status: typeof status === "number" ? status : null,
    code: typeof code === "string" ? code : null,
  };
}

/**
 * An error of a bucket in our words.
 *
 * @param doing what was being done: `put v1/…`
 * @param where the bucket
 * @param prefix of the settings' names: `S3`
 * @param writes whether it was to store something, which may be there all the same
 */
export function explainError(
  error: unknown,
  { doing, where, prefix, writes }: { doing: string; where: string; prefix: string; writes: boolean },
): DestinationError {
  if (error instanceof DestinationError) return error;
  const facts = factsOf(error);
  const { name, status, code } = facts;
  const what = `${doing} to ${where} failed`;
  // versitygw has a name of its own for it.
  const unknownKey = status !== null && status < 500 && /access key id/i.test(facts.message);
  const found = unknownKey ? "InvalidAccessKeyId" : name;
  const known = Object.hasOwn(KNOWN, found) ? KNOWN[found] : undefined;
  if (known !== undefined) {
    const [trouble, meaning] = known;
    const mend = meaning.replace(
      /\b(BUCKET|ACCESS_KEY|SECRET_KEY|SESSION_TOKEN|REGION|ENDPOINT)\b/g,
      `${prefix}_$1`,
    );
    const skew = trouble === "clock" ? skewOf(error) : "";
    return new DestinationError(`${what}: ${name}: ${mend}${skew}`, trouble, false);
  }
  const said = short(facts.message === "" || facts.message === "UnknownError" ? name : facts.message);
  if (status === null) {
    if (code !== null && LOCAL_FAULTS.has(code))
      return new DestinationError(`${what}: the file cannot be read: ${said}`, "file", false);
    const arrived = code === null || !NOT_CONNECTED.has(code);
    return new DestinationError(`${what}: ${said}`, "unreachable", writes && arrived);
  }
  const answer = `${what}: HTTP ${status}: ${said}`;
  if (status === 429 || status === 503) return new DestinationError(answer, "throttled", false);
  if (status === 401 || status === 403) {
    const mend = `; see ${prefix}_ACCESS_KEY, ${prefix}_SECRET_KEY and the rights in docs/providers.md`;
    return new DestinationError(answer + mend, "refused", false);
  }
  if (status === 404) {
    return new DestinationError(`${answer}; is ${prefix}_BUCKET right?`, "refused", false);
  }
  if (status === 507) return new DestinationError(answer, "full", false);
  // 408 and 5xx: it gave up somewhere in the middle, or an intermediary did.
  if (status >= 500 || status === 408) return new DestinationError(answer, "unreachable", writes);
  if (status >= 300 && status < 400) return new DestinationError(answer, "refused", false);
  return new DestinationError(answer, "file", false);
}

/** How far this machine's clock is from the server's, in words; "" where the answer has no date. */
function skewOf(error: unknown): string {
  const date = field(field(field(error, "$response"), "headers"), "date");
  const there = typeof date === "string" ? Date.parse(date) : Number.NaN;
  if (Number.isNaN(there)) return "";
  const seconds = Math.round((Date.now() - there) / 1000);
  return ` (it is ${Math.abs(seconds)} s ${seconds > 0 ? "ahead of" : "behind"} theirs)`;
}

/** Characters of a server's own words that are repeated. */
const SAID_MAX = 300;

function short(text: string): string {
  const line = text.replace(/\p{Cc}+/gu, " ").trim();
  return line.length > SAID_MAX ? `${line.slice(0, SAID_MAX)}…` : line;
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && name in value
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
