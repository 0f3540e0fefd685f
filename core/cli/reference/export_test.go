package reference

// Texts are what language.txt says, by path.
var Texts = texts
