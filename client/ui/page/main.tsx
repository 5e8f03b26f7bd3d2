/** Where the browser begins. */
import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./main.css";
import { App } from "./app.tsx";

render(<App />, document.body);
