import{h as o}from"./chunk-2OXDY2GP.js";function t({route:e}){return o("h1",{children:["API Keys of ",e.workspace]})}export{t as KeysPage};
