package fake

// A picture is a grid of macroblocks of 16x16 luma samples. The upper part shows eight colour bars, the lower the
// clock on black and below it a white square that goes once from left to right in each second. Only a few
// macroblocks carry samples (I_PCM); the others of a random access point copy the edge of their left or upper
// neighbour, and all that do not change are skipped in the pictures that follow.

// A colour is a flat macroblock.
type colour struct{ y, cb, cr byte }

// bars are white, yellow, cyan, green, magenta, red, blue and black at 75 % (Rec. ITU-R BT.471, BT.601 levels).
var bars = [8]colour{
	{180, 128, 128}, {162, 44, 142}, {131, 156, 44}, {112, 72, 58}, {84, 184, 198}, {65, 100, 212}, {35, 212, 114}, {16, 128, 128},
}

var (
	ground = colour{16, 128, 128}
	ink    = colour{235, 128, 128}
)

// macroblock is the size of the samples of one, luma and both chroma planes.
const macroblock = 16*16 + 2*8*8

func flat(c colour) []byte {
	b := make([]byte, 0, macroblock)
	for range 256 {
		b = append(b, c.y)
	}
	for range 64 {
		b = append(b, c.cb)
	}
	for range 64 {
		b = append(b, c.cr)
	}
	return b
}

// A layout says where each part of the picture is, in macroblocks, and holds its samples. It is immutable.
type layout struct {
	columns, rows int

	bars int // rows of colour bars

	date, time line
	track      int // the row of the moving square, which moves in the columns 1 to columns-1

	plain, square []byte
	colours       [8][]byte
}

// A line is a row of glyphs of size x size macroblocks each.
type line struct {
	row, column, size int

	glyphs map[byte][][]byte // size*size macroblocks in raster order
}

func newLayout(c Config) *layout {
	l := &layout{columns: (c.Width + 15) / 16, rows: (c.Height + 15) / 16, plain: flat(ground), square: flat(ink)}
	for i, b := range bars {
		l.colours[i] = flat(b)
	}
	const largest = 4 // larger digits would only cost bits
	size := min(max(l.columns/20, 1), largest)
	small := max(size/2, 1)
	// Below the bars: a row of ground, the date, the time, a row of ground, the square, and at least one row more,
	// as the last may be cropped.
	l.bars = l.rows - (small + size + 5)
	l.date = newLine(l.bars+1, small, len(reading{}.date), l.columns)
	l.time = newLine(l.date.row+small, size, len(reading{}.time), l.columns)
	l.track = l.time.row + size + 1
	return l
}

func newLine(row, size, length, columns int) line {
	l := line{row: row, column: (columns - length*size) / 2, size: size, glyphs: make(map[byte][][]byte)}
	for ch, g := range font {
		l.glyphs[ch] = drawGlyph(g, size)
	}
	return l
}

// drawGlyph draws with pixels of 2*size luma samples, and with a margin of ground all around: the macroblocks to the
// right and below copy its edge.
func drawGlyph(g [7]byte, size int) [][]byte {
	blocks := make([][]byte, 0, size*size)
	for row := range size {
		for column := range size {
			b := flat(ground)
			for y := range 16 {
				for x := range 16 {
					px, py := (column*16+x-3*size)/(2*size), (row*16+y-size)/(2*size)
					if column*16+x >= 3*size && px < 5 && row*16+y >= size && py < 7 && g[py]>>(4-px)&1 == 1 {
						b[y*16+x] = ink.y
					}
				}
			}
			blocks = append(blocks, b)
		}
	}
	return blocks
}

// at returns the samples of the line's macroblock in a row and column of the picture, or nil if it has none there,
// and the index of its glyph.
func (l *line) at(text []byte, row, column int) (samples []byte, glyph int) {
	y, x := row-l.row, column-l.column
	if y < 0 || y >= l.size || x < 0 || x >= l.size*len(text) {
		return nil, 0
	}
	glyph = x / l.size
	return l.glyphs[text[glyph]][y*l.size+x%l.size], glyph
}

// A state is what changes from picture to picture.
type state struct {
	reading
	square int // column
}

func (l *layout) state(index int64, rate int) state {
	n := index % int64(rate)
	return state{reading: read(index * 1000 / int64(rate)), square: 1 + int(n)*(l.columns-1)/rate}
}

// samples returns those of a macroblock that has its own, or nil.
func (l *layout) samples(s *state, row, column int) []byte {
	switch {
	case row == 0:
		if b := l.bar(column); column == 0 || l.bar(column-1) != b {
			return l.colours[b]
		}
	case row < l.bars:
	case row == l.bars:
		if column == 0 {
			return l.plain
		}
	case row == l.track:
		if column == s.square {
			return l.square
		}
	default:
		if b, _ := l.date.at(s.date[:], row, column); b != nil {
			return b
		}
		b, _ := l.time.at(s.time[:], row, column)
		return b
	}
	return nil
}

// bar returns the index of the bar of a column.
func (l *layout) bar(column int) int { return column * len(bars) / l.columns }

// Values of mb_type and intra_chroma_pred_mode (ITU-T H.264, Tables 7-11, 7-13 and 7-16).
const (
	typePCM        = 25
	typeVertical   = 1 // I_16x16_0_0_0: copies the lower edge of the macroblock above
	typeHorizontal = 2 // I_16x16_1_0_0: copies the right edge of the one to the left
	chromaHoriz    = 1
	chromaVert     = 2
	intraInP       = 5 // added to mb_type of intra macroblocks in a P slice
)

// sliceHeader writes a slice_header (7.3.3) of a picture that is one slice. n counts the pictures since the random
// access point.
func sliceHeader(w *writer, n int, idrID uint32) {
	w.ue(0) // first_mb_in_slice
	if n == 0 {
		w.ue(7) // I
	} else {
		w.ue(5) // P
	}
	w.ue(0)              // pic_parameter_set_id
	w.u(uint32(n&15), 4) // frame_num
	if n == 0 {
		w.ue(idrID)
		w.u(0, 1) // no_output_of_prior_pics_flag
		w.u(0, 1) // long_term_reference_flag
	} else {
		w.u(0, 1) // num_ref_idx_active_override_flag
		w.u(0, 1) // ref_pic_list_modification_flag_l0
		w.u(0, 1) // adaptive_ref_pic_marking_mode_flag
	}
	w.ue(0) // slice_qp_delta
	w.ue(1) // disable_deblocking_filter_idc
}

func (w *writer) pcm(kind uint32, samples []byte) {
	w.ue(kind)
	w.align()
	w.b = append(w.b, samples...)
}

// intra writes the raw byte sequence payload of a random access point.
func (l *layout) intra(w *writer, s *state, idrID uint32) {
	sliceHeader(w, 0, idrID)
	above := make([]bool, l.columns) // which macroblocks of the row above carry samples
	for row := range l.rows {
		left := false
		for column := range l.columns {
			if b := l.samples(s, row, column); b != nil {
				w.pcm(typePCM, b)
				left, above[column] = true, true
				continue
			}
			// The row below the bars starts a new ground, and the macroblock below the square must not copy it.
			if row == 0 || row == l.bars || (row == l.track+1 && column == s.square) {
				w.ue(typeHorizontal)
				w.ue(chromaHoriz)
			} else {
				w.ue(typeVertical)
				w.ue(chromaVert)
			}
			w.ue(0) // mb_qp_delta
			// coeff_token for no coefficients (9.2.1): a neighbour with samples counts as having 16.
			if left || above[column] {
				w.u(3, 6)
			} else {
				w.u(1, 1)
			}
			left, above[column] = false, false
		}
	}
	w.trail()
}

// inter writes the raw byte sequence payload of picture n after a random access point: what differs between the
// states before and now.
func (l *layout) inter(w *writer, before, now *state, n int) {
	sliceHeader(w, n, 0)
	skip := uint32(0)
	for row := range l.rows {
		if row <= l.bars || row > l.track {
			skip += uint32(l.columns)
			continue
		}
		for column := range l.columns {
			b := l.change(before, now, row, column)
			if b == nil {
				skip++
				continue
			}
			w.ue(skip)
			w.pcm(intraInP+typePCM, b)
			skip = 0
		}
	}
	if skip > 0 {
		w.ue(skip)
	}
	w.trail()
}

// change returns the samples of a macroblock that is not as it was, or nil.
func (l *layout) change(before, now *state, row, column int) []byte {
	if row == l.track {
		switch {
		case before.square == now.square:
		case column == now.square:
			return l.square
		case column == before.square:
			return l.plain
		}
		return nil
	}
	if b, i := l.date.at(now.date[:], row, column); b != nil {
		if before.date[i] != now.date[i] {
			return b
		}
		return nil
	}
	if b, i := l.time.at(now.time[:], row, column); b != nil && before.time[i] != now.time[i] {
		return b
	}
	return nil
}
