import{a}from"./chunk-FRIDM6MZ.js";import"./chunk-H4MLSFCY.js";import"./chunk-UDA2LL6V.js";import"./chunk-YFEPEMYW.js";import"./chunk-BOVNBG6Y.js";import"./chunk-L3LFJRSV.js";export{a as Popover};
