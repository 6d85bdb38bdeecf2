/* Starts the behaviours; each looks for its own marks in the page and does nothing without them. */

import { startAsking } from "./ask.js";
import { startChat } from "./chat.js";
import { startEditor } from "./editor.js";
import { startForms } from "./forms.js";
import { startFollowing } from "./follow.js";
import { startKeeping } from "./keep.js";
import { startLive } from "./live.js";
import { startTimes } from "./times.js";

document.documentElement.classList.add("scripted");
startTimes();
startKeeping();
startFollowing();
startForms();
startAsking();
startChat();
startEditor();
startLive();
