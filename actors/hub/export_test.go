package hub

// Active says whether it is this writer whose access units viewers get.
func (w *Writer) Active() bool {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	return w.active && !w.gone
}
