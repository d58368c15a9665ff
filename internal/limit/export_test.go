package limit

// Open returns the number of windows held.
func (l *Limiter) Open() (n int) {
	for i := range l.shards {
		l.shards[i].mu.Lock()
		n += len(l.shards[i].windows)
		l.shards[i].mu.Unlock()
	}
	return n
}
