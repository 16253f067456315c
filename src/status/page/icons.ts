/** Signs of the states: each has a shape of its own, so that none is told by its colour alone. */
import type { State } from "../state.ts";
import { html, Markup } from "./html.ts";

/** What the page can be in: a state, or without news of it. */
export type Sign = Lowercase<State> | "stale";

/** Shape, in a square of 32, and colour on any background. */
const SIGNS: Readonly<Record<Sign, { colour: string; shape: string }>> = {
  ready: {
    colour: "#2e9e62",
    shape: '<circle cx="16" cy="16" r="14"/><path class="mark" d="M9 16.5l5 5 9-10.5"/>',
  },
  degraded: {
    colour: "#d08700",
    shape: '<path d="M16 2.5L31 29.5H1Z"/><path class="mark" d="M16 12v8M16 24.2v.6"/>',
  },
  offline: {
    colour: "#7486a0",
    shape: '<path d="M10 2h12l8 8v12l-8 8H10l-8-8V10Z"/><path class="mark" d="M9 16h14"/>',
  },
  error: {
    colour: "#d63b30",
    shape:
      '<rect x="2" y="2" width="28" height="28" rx="4"/><path class="mark" d="M10 10l12 12M22 10L10 22"/>',
  },
  stale: {
    colour: "#8a8a8a",
    shape:
      '<circle cx="16" cy="16" r="12.5" fill="none" stroke="#8a8a8a" stroke-width="3" stroke-dasharray="5 4.8"/>',
  },
};

/** Names of all of them. */
export const SIGN_NAMES = Object.keys(SIGNS) as readonly Sign[];

/** The sign of a state. */
export function signOf(state: State): Sign {
  return state.toLowerCase() as Lowercase<State>;
}

/** A sign within the page; it takes its colours from the style sheet. */
export function sign(name: Sign): Markup {
  return html`<svg class="sign" viewBox="0 0 32 32" aria-hidden="true">${new Markup(SIGNS[name].shape)}</svg>`;
}

/** A sign as a file of its own: the icon of the browser's tab. */
export function iconFile(name: Sign): string {
  const { colour, shape } = SIGNS[name];
  const mark = 'fill="none" stroke="#fff" stroke-width="3.6" stroke-linecap="round" stroke-linejoin="round"';
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="${colour}">` +
    `${shape.replaceAll('class="mark"', mark)}</svg>`
  );
}
