import{a}from"./chunk-Y4FN4PZN.js";import"./chunk-A765LPUD.js";import"./chunk-63SMO2NJ.js";import"./chunk-2OXDY2GP.js";export{a as Popover};
