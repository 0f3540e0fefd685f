package evidence

// referenceValues are logarithms of evidence; see TestReferenceValues.
var referenceValues = map[string]struct {
	config     Config
	harm, show float64
}{
	"independent":                    {Config{Independent: true, Margin: 1.5}, 12.57759701655710889, -3.0275717503854960361},
	"independent, with a tolerance":  {Config{Independent: true, Tolerance: 0.1, Margin: 3}, 11.8931542835920016, -5.5578044042819301864},
	"nothing assumed":                {Config{Margin: 3}, 0.68455776117005144604, -0.42219151812167384904},
	"nothing assumed, tolerance":     {Config{Tolerance: 0.1, Margin: 1.5}, 0.62401294505862763518, -0.86979269842731236278},
	"the absolute margin alone":      {Config{Independent: true, MarginAbs: 0.05, Dispersion: 1, Base: 0.01}, 12.57759701655710889, -4.3488417150848398226},
	"both margins, dispersed events": {Config{Tolerance: 0.1, Margin: 1.5, MarginAbs: 0.05, Dispersion: 3, Base: 0.01}, 0.62401294505862763518, -1.1182550310293855613},
}
