import{i as o}from"./chunk-L3LFJRSV.js";function t({route:e}){return o("h1",{children:["API Keys of ",e.workspace]})}export{t as KeysPage};
