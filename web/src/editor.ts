// The editor page.

import { chrome } from "./chrome";

chrome();
