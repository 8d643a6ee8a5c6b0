package edge

import (
	"container/list"
	"sync"
)

// A cache holds the files that were used most recently.
type cache struct {
	limit int64 // in bytes

	mu    sync.Mutex
	size  int64                    // in bytes; guarded by mu
	files map[string]*list.Element // of cachedFile, by key; guarded by mu
	used  list.List                // the most recently used first; guarded by mu
}

type cachedFile struct {
	key  string
	body []byte
}

// get returns a file, or nil.
func (c *cache) get(key string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.files[key]
	if e == nil {
		return nil
	}
	c.used.MoveToFront(e)
	return e.Value.(*cachedFile).body
}

// put adds a file, and drops those that were not used for the longest time as long as all together are beyond the limit.
func (c *cache) put(key string, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[key] != nil || int64(len(body)) > c.limit {
		return
	}
	if c.files == nil {
		c.files = make(map[string]*list.Element)
	}
	c.files[key] = c.used.PushFront(&cachedFile{key, body})
	c.size += int64(len(body))
	for c.size > c.limit {
		oldest := c.used.Remove(c.used.Back()).(*cachedFile)
		delete(c.files, oldest.key)
		c.size -= int64(len(oldest.body))
	}
}
