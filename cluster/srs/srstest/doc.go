// Package srstest is an SRS origin and an SRS edge for tests: their wire forms, byte for byte where these were recorded
// (SRS 7.0.18), and their habits, bad ones included: coworkers asked one after the other, a player without a stream let
// go without a word, a redirect followed without end.
//
// The origin shares no chunks of RTMP with the program under test. Both do no more than the tests need.
package srstest
