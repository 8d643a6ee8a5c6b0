package fake

// font holds the glyphs of the clock, seven rows of five pixels.
var font = map[byte][7]byte{
	'0': {0x0e, 0x11, 0x11, 0x15, 0x11, 0x11, 0x0e},
	'1': {0x04, 0x0c, 0x14, 0x04, 0x04, 0x04, 0x1f},
	'2': {0x0e, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1f},
	'3': {0x0e, 0x11, 0x01, 0x06, 0x01, 0x11, 0x0e},
	'4': {0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02},
	'5': {0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e},
	'6': {0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e},
	'7': {0x1f, 0x01, 0x02, 0x02, 0x04, 0x04, 0x04},
	'8': {0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e},
	'9': {0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c},
	':': {0x00, 0x04, 0x04, 0x00, 0x04, 0x04, 0x00},
	'-': {0x00, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x00},
	'.': {0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c},
}

// A reading is what the clock shows: the date, and the time of day to the millisecond, in UTC.
type reading struct {
	date [len("2006-01-02")]byte
	time [len("15:04:05.000")]byte
}

// maxMillis is the end of the year 9999, the last that the clock can show.
const maxMillis = 253402300800000

// read returns the reading at so many milliseconds since the Unix epoch, from 0 to maxMillis.
func read(millis int64) (r reading) {
	day, in := millis/86400000, millis%86400000
	y, m, d := civil(day)
	digits(r.date[0:4], y)
	r.date[4] = '-'
	digits(r.date[5:7], m)
	r.date[7] = '-'
	digits(r.date[8:10], d)
	digits(r.time[0:2], in/3600000)
	r.time[2] = ':'
	digits(r.time[3:5], in/60000%60)
	r.time[5] = ':'
	digits(r.time[6:8], in/1000%60)
	r.time[8] = '.'
	digits(r.time[9:12], in%1000)
	return r
}

func digits(dst []byte, v int64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
}

// civil returns the Gregorian date of a day since 1970-01-01. Years are counted from March, so that the leap day is
// their last, in eras of 400 years, which all have 146097 days.
func civil(day int64) (y, m, d int64) {
	day += 719468 // from 0000-03-01
	era := day / 146097
	in := day % 146097
	year := (in - in/1460 + in/36524 - in/146096) / 365
	in -= 365*year + year/4 - year/100
	month := (5*in + 2) / 153 // months have 153 days in five, from March on
	d = in - (153*month+2)/5 + 1
	y = era*400 + year
	if m = month + 3; m > 12 {
		m -= 12
		y++
	}
	return y, m, d
}
