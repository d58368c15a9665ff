package store

// Metered is a capability of an engine that tells figures of itself.
type Metered interface {
	Meters() []Meter
}

// Meter is a figure that an operator may watch. Any number of callers may read it.
type Meter struct {
	Name, Help string // the name as Prometheus writes it
	Rises      bool   // it counts, from the start of the process
	Read       func() float64
}
