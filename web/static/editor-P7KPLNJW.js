import{a as m}from"./chunk-7JXSMTHY.js";m();
