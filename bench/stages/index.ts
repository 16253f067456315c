/** All stages, in the order in which an event meets them. */
import type { Stage } from "../lib/stage.ts";
import { backingStage } from "./backing.ts";
import { burstStage } from "./burst.ts";
import { decodeStages } from "./decode.ts";
import { endToEndStage } from "./end-to-end.ts";
import { layoutsStage } from "./layouts.ts";
import { receiveStage } from "./receive.ts";
import { ringStage } from "./ring.ts";
import { sizeStage } from "./size.ts";
import { storageStage } from "./storage.ts";
import { sustainedStage } from "./sustained.ts";
import { symbolsStage } from "./symbols.ts";

/** See {@link Stage}. */
export const STAGES: readonly Stage[] = [
  receiveStage,
  ...decodeStages,
  ringStage,
  backingStage,
  storageStage,
  sizeStage,
  layoutsStage,
  endToEndStage,
  symbolsStage,
  sustainedStage,
  burstStage,
];
