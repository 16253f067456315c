/** The simulator's own paths, which no exchange has: `/sim/faults` and `/sim/account`. */
import type { Account } from "./account/account.ts";
import { accountOverHttp } from "./account/http.ts";
import type { Faults } from "./faults/faults.ts";
import { faultsOverHttp } from "./faults/http.ts";
import type { Dialect, ServerExtras } from "./server.ts";

/** What a server is given beside its dialect, whose own `/sim/stats` no fault keeps back. */
export function extras(faults: Faults, dialect: Dialect, account: Account | undefined): ServerExtras {
  return {
    hooks: faults,
    control: (request, url) =>
      faultsOverHttp(request, url, faults) ?? accountOverHttp(url, account) ?? dialect.rest(url),
  };
}
