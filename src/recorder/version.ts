import manifest from "../../package.json" with { type: "json" };
import { EMBEDDED } from "../lib/native/embedded.ts";

/** Version of this program. */
export const VERSION: string = manifest.version;

/** Version as `--version` prints it: an executable names the commit it was built from too. */
export const FULL_VERSION: string = EMBEDDED === null ? VERSION : `${VERSION} (${EMBEDDED.commit})`;
