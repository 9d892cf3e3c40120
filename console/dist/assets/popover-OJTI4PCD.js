import{a}from"./chunk-QJRHBCEI.js";import"./chunk-DVM4BTAK.js";import"./chunk-ZLAZXXNI.js";import"./chunk-GVIQRKGA.js";import"./chunk-LGGSRFDM.js";import"./chunk-VVDV67DI.js";export{a as Popover};
