/** See bucket.ts. */
import { startStandIn } from "../../test/helpers/s3/stand-in.ts";

const standIn = await startStandIn();
process.on("disconnect", () => process.exit());
process.send?.({ url: standIn.url });
