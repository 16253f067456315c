/** Files that are sent as they are: `import … with { type: "text" }`, which `bun build` puts into the binary. */
declare module "*.css" {
  const text: string;
  export default text;
}
declare module "*/page.js" {
  const text: string;
  export default text;
}
declare module "*/patch.js" {
  const text: string;
  export default text;
}
