/** Loaded before the program: a drain that can be held, and a clock that can be put forward. */
import "./faulty-drain.ts";
import "./later.ts";
