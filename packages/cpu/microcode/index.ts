export { init } from "./cpu";
export { getRflags, setRflags } from "./flags";
export { updateMode } from "./mode";
