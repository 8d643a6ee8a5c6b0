package sim

// A pool keeps values that are not in use. Making one anew for each message would take much of a run's time.
type pool[T any] struct{ free []*T }

// take gives a value, in which anything may be.
func (p *pool[T]) take() *T {
	last := len(p.free) - 1
	if last < 0 {
		return new(T)
	}
	x := p.free[last]
	p.free = p.free[:last]
	return x
}

// give takes a value that nothing refers to any more.
func (p *pool[T]) give(x *T) { p.free = append(p.free, x) }
