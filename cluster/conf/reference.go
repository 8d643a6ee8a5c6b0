package conf

// defaults says what holds where a directive is left out; empty for one that has no default.
func (d *directive) defaults() string {
	if d.usual != "" {
		return d.usual
	}
	return d.preset
}
