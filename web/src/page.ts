// Every page but the editor.

import { chrome } from "./chrome";

chrome();
