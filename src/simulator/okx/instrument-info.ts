/** An instrument as `GET /api/v5/public/instruments` and the channel `instruments` spell it. */
import { unitText } from "../decimals.ts";
import { plain } from "./decimals.ts";
import type { Instrument } from "./instruments.ts";

/** One entry, with OKX's field order. Until it is listed, only ids, state and listing time are there. */
export function instrumentInfo(instrument: Instrument): object {
  const { instId, index, settle, contractType, contractPower, contractCoin, state, expMs } = instrument;
  const known = state !== "preopen";
  const when = (text: string): string => (known ? text : "");
  return {
    alias: "",
    baseCcy: "",
    category: "1",
    ctMult: when("1"),
    ctType: when(contractType),
    ctVal: when(plain(1, -contractPower)),
    ctValCcy: when(contractCoin),
    expTime: expMs === 0 ? "" : String(expMs),
    instFamily: when(index),
    instId,
    instType: "SWAP",
    lever: when("50"),
    listTime: String(instrument.listMs),
    lotSz: when(unitText(instrument.amountDecimals)),
    maxLmtSz: when("100000000"),
    maxMktSz: when("30000"),
    minSz: when(unitText(instrument.amountDecimals)),
    optType: "",
    quoteCcy: "",
    ruleType: "normal",
    settleCcy: when(settle),
    state,
    stk: "",
    tickSz: when(plain(instrument.tick, instrument.priceDecimals)),
    uly: when(index),
  };
}

/** A REST answer. */
export function envelope(data: readonly object[], code = "0", msg = ""): object {
  return { code, data, msg };
}
