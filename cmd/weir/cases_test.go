package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A fieldCase is an input or a client of the field, what weir does with it, and the test that shows it. An id with a letter behind
// its number is a sibling: the same kind in another protocol, codec or moment.
type fieldCase struct {
	id    string
	input string // what the other side does
	now   string // what weir does
	test  string // a folder and the name of a test in it: "codecs/flv.TestX"
}

// Each group has its own list, so that one case is one line and two changes seldom meet. The ids of a group stand in expected.
var (
	casesTS = []fieldCase{
		{"T1", "the PMT lists an AAC PID that never sends", "starts with the pictures after a second, names the silent PID in `tracks_left_out`", "protocols/pull.TestTrackThatIsAnnouncedAndBringsNothingIsLeftOut"},
		{"T1a", "the PMT describes Opus, which never comes", "as T1", "protocols/pull.TestTrackThatIsAnnouncedAndBringsNothingIsLeftOut"},
		{"T1b", "the sound comes four seconds later", "starts without it, adds it when it comes", "protocols/pull.TestTrackThatIsAnnouncedAndBringsNothingIsLeftOut"},
		{"T1c", "two sounds, the first of which never comes", "the second one plays", "protocols/pull.TestTrackThatIsAnnouncedAndBringsNothingIsLeftOut"},
		{"T1d", "pictures are listed and never come", "the sound plays", "protocols/pull.TestTrackThatIsAnnouncedAndBringsNothingIsLeftOut"},
		{"T1e", "sound is added, goes, moves to another PID or changes its codec in mid-stream", "a change of tracks; pictures go on without a gap", "protocols/pull.TestTracksThatChangeReachTheWriter"},
		{"T3", "every second picture has no PTS", "all pictures, at even distances", "protocols/pull.TestPicturesWithoutTimesAreKept"},
		{"T3a", "random access points alone have a PTS", "as T3", "protocols/pull.TestPicturesWithoutTimesAreKept"},
		{"T3b", "several pictures in a PES packet, with one PTS", "as T3", "protocols/pull.TestPicturesWithoutTimesAreKept"},
		{"T5", "several AC-3 frames in a PES packet", "split by their headers", "protocols/pull.TestAccessUnitsNeedNotMatchPackets"},
		{"T5a", "frames of AAC, MP3 and AC-3 that go from one PES packet into the next", "put together", "protocols/pull.TestAccessUnitsNeedNotMatchPackets"},
		{"T5b", "pictures that do not begin with a PES packet", "put together, each with its own time", "protocols/pull.TestAccessUnitsNeedNotMatchPackets"},
		{"T6", "H.264 with MP2 or E-AC-3", "the pictures play, the sound is named", "protocols/pull.TestTracksThatCanBeCarriedArePlayedBesideOthers"},
		{"T6a", "E-AC-3 that is announced as AC-3", "as T6", "protocols/pull.TestTracksThatCanBeCarriedArePlayedBesideOthers"},
		{"T6b", "MP2 before AAC", "the AAC plays", "protocols/pull.TestTracksThatCanBeCarriedArePlayedBesideOthers"},
		{"T6c", "MPEG-2 video with AAC", "the sound plays, the pictures are named", "protocols/pull.TestTracksThatCanBeCarriedArePlayedBesideOthers"},
		{"T6d", "subtitles, teletext, SCTE-35 and metadata", "named", "protocols/pull.TestTracksThatCanBeCarriedArePlayedBesideOthers"},
		{"T7", "all is scrambled from some moment on", `the input is in the condition "scrambled", and brings nothing from there on`, "protocols/pull.TestScrambledStreamIsReported"},
		{"T7a", "the pictures alone, or the sound alone, is scrambled", "as T7; the other goes on", "protocols/pull.TestScrambledStreamIsReported"},
		{"T7b", "PES packets are scrambled instead of transport packets", "as T7", "protocols/pull.TestScrambledStreamIsReported"},
		{"T7c", "scrambled for a second", "goes on, and the condition ends", "protocols/pull.TestScrambledStreamIsReported"},
		{"T8", "packets of 192 bytes (M2TS)", "read, from HTTP and from files", "protocols/pull.TestPacketsOfOtherSizesAreRead"},
		{"T8a", "the same with AAC in private data, as ffmpeg writes it", "the AAC is found", "protocols/pull.TestPacketsOfOtherSizesAreRead"},
		{"T8b", "packets of 204 bytes", "as T8", "protocols/pull.TestPacketsOfOtherSizesAreRead"},
		{"T9", "several programs on one PID of PMTs", "the first that can be played", "protocols/pull.TestProgramIsChosen"},
		{"T9a", "the first program has MPEG-2 video, or is scrambled", "the second one", "protocols/pull.TestProgramIsChosen"},
		{"T9b", "`program=N` of an input", "that one; an error names those that there are", "protocols/pull.TestProgramIsChosen"},
		{"T9c", "the first program brings nothing, or its table never comes", "the second one, after a second", "codecs/mpegts.TestFirstProgramThatCanBePlayedIsRead"},
		{"T10", "packets are lost, damaged or come twice", "what was damaged is left out and counted, the rest is as it was sent", "codecs/mpegts.TestDamageCostsWhatItDamaged"},
		{"T10a", "tables with wrong checksums, in pieces, late, in several sections", "read as soon as they are whole", "codecs/mpegts.TestTablesAreReadHoweverTheyAreSent"},
		{"T10b", "the time base jumps by three seconds, announced", "the times go on, and the place is marked", "protocols/pull.TestBreakOfTheTimeBaseIsAJumpHoweverSmall"},
	}
	casesHLS = []fieldCase{
		{"H1", "the first segments are answered with 403 for ten seconds", "says so at once (`unavailable`, with the reason), asks again every two seconds, and plays once it heals", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H1a", "500 for ten seconds in mid-stream", "plays on from what is ready, and misses nothing", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H1b", "503 to all requests, the playlists too", "as H1a", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H2", "a segment answers 404 for ever", "asked for again until viewers have nothing left, then skipped with a discontinuity and counted in `lost_segments`", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H2a", "a segment answers 404 once", "asked for again, nothing is lost", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H2b", "a segment is empty, cut off, or a page", "as H2", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H2d", "two or three segments in a row are missing or damaged for ever", "those are skipped, and none behind them", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H2c", "EXT-X-GAP", "as H2, at once", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H3", "numbers begin anew, or a cache gives out an old playlist", "plays on; the old playlist is passed over", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H3a", "numbers jump ahead, and names go on", "goes on behind the last segment, and none is lost", "protocols/pull/m3u8.TestFollowerGivesEachSegmentOnce"},
		{"H3b", "numbers begin anew while a segment is asked for again", "none behind it is passed over", "protocols/pull/m3u8.TestFollowerResumesBehindARestart"},
		{"H4", "AES-128 with an IV, or with the number as IV, in TS and in fragments", "decrypted", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H4a", "a key that cannot be had for a time", "as H1", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H5", "a timeline that jumps, with a discontinuity or without", "the times go on, and the place is marked", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H6", "gzip, announced or not", "decoded", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H9", "the best variant answers 404, or its segments do", "the next one", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H9a", "a variant ceases in mid-stream", "another one, behind a discontinuity", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H9b", "segments of the best variant take longer to come than they last, for a while or for ever", "the next lower variant, without a gap; the better one again after 30 s, and later each time that it was in vain", "protocols/pull.TestVariantFitsTheLink"},
		{"H10", "sound in a playlist of its own, packed or in fragments", "joined by its times", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H10b", "pictures and sound whose segments come in any order, far ahead of each other", "joined in the order of their times, each at the time that it has", "protocols/pull.TestHLSComesAtItsPace"},
		{"H10a", "the playlist of the sound is missing", "the pictures play, and it is said what is missing", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H10c", "the server of one of them hangs, fails, is late, or has longer segments", "the other waits ten seconds and a target duration at most, and nothing is misplaced", "protocols/pull.TestSoundAndPicturesOfTwoPlaylistsWaitForEachOther"},
		{"H10d", "a segment of pictures is missing for ever, and the sound beside it goes on", "skipped when viewers have no picture left", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H11", "a token in each URL that expires", "the playlist is asked for anew", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H11a", "a session in a cookie; a redirect to another host", "kept for the pull; URLs are those of the other host", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H4b", "SAMPLE-AES, or keys of a DRM", "the input fails: encrypted, not supported", "protocols/pull.TestHLSSaysWhyItCannotBePlayed"},
		{"H5a", "a timeline five seconds on behind a discontinuity, in TS and in fragments", "joined on, without the gap", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H1c", "nothing for half a minute", "plays on at its pace, without a burst", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H6b", "deflate, with the header of zlib or without; several codings; one that the body does not have", "decoded", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H6c", "gzip of the playlist alone, under its old name", "decoded", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H1d", "the init segment is missing for ten seconds", "as H1", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H1e", "the playlist is a page, or empty", "as H1a", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H3c", "numbers change by less than the playlist is long; numbers and names begin anew while the server fails", "goes on where it was, and nothing comes twice", "protocols/pull/m3u8.TestFollowerGoesOnWhereItWas"},
		{"H3d", "media that has come before", "left out by its times", "codecs/timeline.TestWhatIsRepeatedComesOnce"},
		{"H4c", "keys in data URLs, of the format of RFC 8216, beside those of a DRM; segments without a key between others", "decrypted", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H9c", "variants for seeking, subtitles, captions; one variant at two servers", "the pictures and the sound; the other server when the first is gone", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H11b", "a redirect of each request to another place, URLs without scheme, with ports, escapes and slashes in tokens", "followed", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H12", "low latency, ranges, times of day, markers of advertising, unknown lines, wrong durations", "played", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"H8a", "a header that other servers must not get", "sent to the server of the input alone, after redirects too", "protocols/pull.TestSecretsStayAtTheServerOfTheInput"},
		{"H8b", "the server wants cookies beside those of the input", "both are sent", "protocols/pull.TestRequestsCarryWhatTheInputSays"},
		{"H6a", "a content coding that is not known", "the input fails and names it", "protocols/pull.TestHLSSaysWhyItCannotBePlayed"},
		{"H8", "the server wants a User-Agent, a Referer, any header, over HTTP-TS and FLV too", "`user_agent` and `header` of an input", "protocols/pull.TestRequestsCarryWhatTheInputSays"},
	}
	casesRTSP = []fieldCase{
		{"R1", "H.264 with G.711, A-law or µ-law", "the pictures play; the sound plays over RTSP, and is named in `tracks_left_out` for all other protocols", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"R1i", "G.711 to viewers over RTSP", "each sample, at its time", "protocols/rtsp.TestG711GoesFromRTSPToRTSP"},
		{"R1j", "G.711 and AAC", "the AAC plays, everywhere", "protocols/rtsp.TestOtherSoundIsTakenBeforeG711"},
		{"R1k", "G.711 over HLS", "segments have the form that they have without it", "protocols/cmaf.TestGenerationIsNamedByItsConfiguration"},
		{"R1a", "H.264 with G.726, or with sound that nothing describes", "as R1", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"R1b", "ONVIF metadata, or an application medium that is no RTP", "as R1", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"R1c", "MJPEG before H.264; each medium twice", "the first medium that can be carried", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"R1d", "no fmtp, a broken rtpmap, parameter sets that are no base64, AAC without a configuration", "taken for what the rest says; parameter sets come with the media", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"R1e", "bad lines, LF alone, ports that are not zero, attributes before the media, no control", "passed over, line by line", "codecs/sdp.TestDescriptionsOfCamerasAreRead"},
		{"R1f", "SETUP of one medium is refused, or one medium brings nothing", "the other plays", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"R1g", "H.265 with decoding order numbers, STAP-B, MTAP, FU-B, start codes within a packet", "read", "codecs/carriage.TestPayloadsOfNALUnitsAreRead"},
		{"R1h", "AAC with any lengths of its headers, a constant size, ADTS, parts, no markers; LATM", "read", "codecs/carriage.TestPacketsOfAACAreRead"},
		{"R3", "RTP times step back by 5 to 55 ms", "every picture is kept; times are repaired and counted", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"R3a", "sender reports with times of their own, or none", "ignored; sound lies where it arrives", "codecs/rtp.TestSoundLiesWhereTheReportsOfTheSenderPutIt"},
		{"R3b", "another SSRC, or sequence numbers that begin again, in mid-stream", "goes on, counted", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"R3c", "a packet in the middle of a picture is lost", "that picture is dropped, counted", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"R3d", "no markers; another payload type than the one described; padding, extensions, damaged RTCP", "read", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"R3e", "another size in mid-stream", "a change of tracks", "protocols/rtsp.TestParameterSetsThatChangeInMidStreamReachTheWriter"},
		{"R4", "the server sends SET_PARAMETER, GET_PARAMETER, ANNOUNCE, OPTIONS or what nobody knows", "200 or 501, and goes on", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"R4a", "late answers, answers without CSeq, 100 Continue, folded and misspelt lines", "passed over", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"R4b", "media before the answer to PLAY, on channels that nobody set up, or on others than were asked for; garbage", "taken or passed over", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"R4c", "OPTIONS is refused; GET_PARAMETER gets 405, 501, 454 or 401", "the other method keeps the session", "protocols/rtsp.TestSessionIsKeptAlive"},
		{"R4d", "a password is asked for at any request, by MD5 or SHA-256, with nonces that get stale", "proved", "protocols/rtsp.TestPasswordIsProvedWheneverTheCameraAsks"},
		{"R4e", "301, 302 or 305 at any request, or REDIRECT while it plays", "followed", "protocols/rtsp.TestRedirectOfAnyKindIsFollowed"},
		{"R4f", "TCP gets 461", "over UDP", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
	}
	casesInputs = []fieldCase{
		{"I1", "timestamps of pictures that step back by 5 to 55 ms now and then", "every picture is kept, at half the usual distance until the timestamps have caught up", "codecs/timeline.TestPicturesGetTimesThatRise"},
		{"I1a", "the same where only a PTS comes, as over RTP", "as I1", "codecs/timeline.TestPicturesGetTimesThatRise"},
		{"I1b", "sound that steps back", "follows at its own length, a hundredth faster, until it has caught up", "codecs/timeline.TestSoundGetsTimesThatRise"},
		{"I2", "a timestamp that is off by hours", "placed where the next unit is due; no discontinuity", "codecs/timeline.TestPicturesGetTimesThatRise"},
		{"I2a", "timestamps that jump, in the middle of a GOP or at a random access point", "joined on, and marked once", "codecs/timeline.TestPicturesGetTimesThatRise"},
		{"I2b", "an RTMP encoder that counts from zero again", "as I2a", "codecs/flv.TestTimestampsWrapRestartAndLeap"},
		{"I2c", "timestamps that begin anew where the input says so", "joined on, however small the jump", "codecs/timeline.TestBreakJoinsWhatFollows"},
		{"I3", "a sound clock that is 200 ppm fast, for hours", "stays within 100 ms of the pictures, without a gap", "codecs/timeline.TestSoundThatDriftsIsBroughtBack"},
		{"I3a", "the same, slow, or half a percent fast", "as I3", "codecs/timeline.TestSoundThatDriftsIsBroughtBack"},
		{"I3b", "a sender that changes how far sound comes before pictures", "kept as it is", "codecs/timeline.TestSoundThatDriftsIsBroughtBack"},
		{"I4", "timestamps of pictures that stand still", "go on at their pace; the API says so until they go on", "codecs/timeline.TestTrackWhoseTimesStandStillGoesOnAtItsPace"},
		{"I4a", "composition times before the decoding time", "the DTS moves forward, the PTS stay in their order", "codecs/timeline.TestPicturesGetTimesThatRise"},
		{"I4b", "B-frames of which nothing says how far they are reordered", "all kept, the DTS follows from their order", "codecs/timeline.TestPicturesGetTimesThatRise"},
		{"I5", "a publisher changes the size of its pictures in mid-stream", "viewers of RTMP, FLV, TS, HLS and RTSP go on", "cluster/node.TestChangesInMidStreamReachViewersOfEveryProtocol"},
		{"I5a", "sound is added in mid-stream", "viewers of RTMP, FLV, TS and HLS hear it; HLS has a discontinuity", "cluster/node.TestChangesInMidStreamReachViewersOfEveryProtocol"},
		{"I5b", "the same for a viewer of RTSP", "its session ends, so that it asks anew", "cluster/node.TestChangesInMidStreamReachViewersOfEveryProtocol"},
		{"I6", "an RTMP encoder sends a configuration of sound, and no sound", "starts with the pictures after a second, and names the sound", "codecs/flv.TestTracksAreWaitedForButNotForEver"},
		{"I6a", "its sound comes seconds later", "added then", "codecs/flv.TestTracksAreWaitedForButNotForEver"},
		{"I6b", "a camera describes sound that never comes", "as I6", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"I7", "an input falls silent, loses its pictures, its random access points, its sound, or packets", "`inputs[].state` and `reason` say which", "codecs/reception.TestInputIsJudgedByWhatArrives"},
		{"I7a", "pictures come without one to start from", "a loss for `source_timeout`, as silence is", "actors/input.TestPicturesWithoutOneToStartFromAreALoss"},
		{"I7b", "an input is scrambled, and the stream has another one", "the other one after `source_timeout`", "cluster/node.TestScrambledInputSaysSoAndGivesWayToTheNext"},
		{"I7c", "a track that is announced comes late", "in `tracks_left_out` until then; `reason` is null afterwards", "cluster/node.TestTrackThatIsAnnouncedAndComesLateIsLeftOutUntilThen"},
		{"I7d", "pictures that are refreshed little by little, with recovery points and no key pictures", "joined at the recovery points, once none better has come for 100 pictures", "codecs/elementary.TestPicturesThatAreRefreshedLittleByLittleCanBeJoined"},
		{"I7e", "the recovery point of an open GOP behind other messages of one SEI", "a random access point", "codecs/h264.TestRandomAccessPoints"},
		{"I8c", "a source brings media for moments, or nothing for minutes", "tried again within four seconds for ten minutes, then every minute", "cluster/control.TestSourceThatComesAndGoesIsTriedWithinSeconds"},
		{"I8", "sources of all kinds misbehave at once, at random", "no viewer is disconnected, and no more is lost than the sources withhold", "cmd/weir/soaktest.TestSoakOfPulledInputs"},
		{"I8a", "an input fails again and again, with media in between", "tried again after five seconds at most", "actors/stream.TestInputThatFailsAgainAndAgainIsBackWithinSeconds"},
		{"I8b", "the only input of a stream fails for longer, again and again", "ten seconds of media make a failure the first again", "cluster/control.TestSourceThatWasWellIsTriedWithinASecond"},
	}
	casesRTMP = []fieldCase{
		{"P1", "its link dies silently, it comes back 3 s later", "the silent one gives way after `publish_takeover` (5 s), is told so and closed; viewers stay", "cluster/node.TestSilentPublisherGivesWayToANewcomer"},
		{"P1a", "the same, and it comes back at another node", "as P1; the node that has the name decides", "cluster/node.TestSilentPublisherAtAnotherNodeGivesWay"},
		{"P1b", "`publish_takeover always` and `never`", "each newcomer takes the stream over, or none", "actors/stream.TestSilentPublisherGivesWay"},
		{"P1c", "it sends messages of which no media comes yet", "it is not silent", "actors/stream.TestPublisherThatIsHeardWithoutMediaDoesNotGiveWay"},
		{"P1d", "a newcomer whom a hook refuses", "takes nothing over", "cluster/node.TestSilentPublisherGivesWayToANewcomer"},
		{"P1e", "it falls silent behind a partition, and comes back on the other side; the partition heals", "the one that sends stays, whichever node comes first", "cluster/control.TestPublisherThatSendsStaysWhereAnotherIsSilentThatComesFirst"},
		{"P1f", "the same, and viewers of other nodes are led to the silent one for a moment", "none gets older pictures than it has had", "actors/hub.TestRelayThatTurnsToASilentPublisherBringsNothingOfThePast"},
		{"P3", "FCUnpublish, deleteStream, then all from releaseStream on, as FMLE", "answered as SRS does, then `Publish.Start`", "protocols/rtmp.TestEncoderPublishesAgainOnTheSameConnection"},
		{"P3a", "FCUnpublish alone, deleteStream alone, closeStream alone", "`NetStream.Unpublish.Success`, and the connection stays", "protocols/rtmp.TestEncoderPublishesAgainOnTheSameConnection"},
		{"P3b", "another name, AMF3 commands, publish without an end before it", "as P3", "protocols/rtmp.TestEncoderPublishesAgainOnTheSameConnection"},
		{"P3c", "publish is sent twice", "`Publish.Start` twice, and the media goes on", "protocols/rtmp.TestPublishThatIsRepeatedChangesNothing"},
		{"P3d", "two minutes pass between two publications", "the connection waits, for three minutes", "protocols/rtmp.TestClientThatHasPublishedMayBeQuietForAWhile"},
		{"P3e", "it leaves without waiting for answers", "it has left in order", "protocols/rtmp.TestEncoderThatLeavesWithoutWaitingForAnswersLeavesInOrder"},
		{"P4", "nothing is waited for, createStream twice, AMF3, an application with its instance, other chunk sizes, aborted and unknown messages", "the stream is published", "protocols/rtmp.TestHabitsOfEncodersAreTaken"},
		{"P4a", "the header is repeated with each key picture, or comes late", "as P4", "protocols/rtmp.TestHabitsOfEncodersAreTaken"},
		{"P4c", "sound in G.711, Speex or PCM, or pictures in Sorenson H.263, announced in the metadata", "named once, and not waited for", "codecs/flv.TestSoundThatCannotBeCarriedIsNamedOnce"},
		{"P4b", "empty messages, metadata with and without @setDataFrame", "as P4", "protocols/rtmp.TestHabitsOfEncodersAreTaken"},
	}
	casesPlayers = []fieldCase{
		{"C1", "GStreamer rtspsrc over TCP, URL with a query", "absolute control URLs without it; plays, over TCP and UDP, here and elsewhere", "cmd/weir/e2e.TestGStreamerPlaysRTSP"},
		{"C1a", "SETUP with the query or without, behind the path or the query", "taken", "protocols/rtsp.TestControlsAreAbsoluteAndWithoutTheQuery"},
		{"C1b", "a track or session that is not there, a method that nobody knows, no CSeq, folded or endless lines, bodies", "an error by RFC 2326, and the connection is kept", "protocols/rtsp.TestRequestsAreAnsweredAndTheConnectionIsKept"},
		{"C1c", "two nodes that take each other for the owner", "no query of ours in a redirect; the third time within two seconds the stream is relayed", "protocols/rtsp.TestClientThatIsSentToAndFroIsServedWhereItIs"},
		{"C2", "any player behind a proxy that ends TLS and names the scheme, the host, or neither; the stream is elsewhere, no `public`", "stays with the proxy: FLV and TS are relayed, playlists have relative URLs", "cluster/node.TestClientBehindAProxyThatEndsTLSStaysWithIt"},
		{"C2a", "the same below a balancer", "served by the asked node", "cluster/node.TestClientBehindAProxyThatEndsTLSStaysWithIt"},
		{"C2b", "rtsps:// through a pipe that ends TLS, rtsp:// through another port", "relayed, no redirect", "cluster/node.TestClientBehindAProxyThatEndsTLSStaysWithIt"},
		{"C2c", "Forwarded, X-Forwarded-Ssl, Front-End-Https, the PROXY protocol's field about TLS, a browser's Sec-Fetch-Site", "known to come over TLS", "protocols/listen.TestWhatStandsBeforeTheNodeIsSeen"},
		{"C2d", "X-Forwarded-Proto and -Host that are made up, of an address that is not trusted", "the client gets its media from here; no URL has the host", "protocols/listen.TestWhatStandsBeforeTheNodeIsSeen"},
		{"C3", "`/live/NAME.flv` and `/live/NAME.m3u8`, as of SRS", "the stream NAME, unless there is one named live/NAME", "cluster/node.TestStreamIsFoundBehindAnApp"},
		{"C3a", "`/live/NAME.ts`, `/live/NAME/index.m3u8`, `rtsp://HOST/live/NAME`, more than one component before the name", "as C3", "cluster/node.TestStreamIsFoundBehindAnApp"},
		{"C3b", "the playlist of `/live/NAME.m3u8` is followed", "it leads to the URL of the stream itself, with the token", "cluster/node.TestStreamIsFoundBehindAnApp"},
		{"C4", "a player opens FLV whose source is a test pattern, TS, HLS, RTSP or RTMP", "onMetaData has size, frame rate, codecs, sampling rate and channels", "cluster/node.TestMetadataIsCompleteWhateverTheInput"},
		{"C4a", "the publisher's own onMetaData says framerate, fps or videoframerate, as a number or in words", "told to players; a value that no video has is not", "codecs/flv.TestFrameRateOfPublishersMetadataIsKept"},
		{"C4b", "H.265, AV1, sound alone, MP3 in stereo", "as C4, and nothing about what is not there", "codecs/flv.TestMetadataIsCompleteWhereKnown"},
		{"C4c", "nothing says how many pictures come in a second", "measured, and told to players that come later", "actors/hub.TestFrameRateThatNothingTellsIsMeasured"},
		{"C4d", "the size changes in mid-stream", "a new onMetaData before the new pictures", "codecs/flv.TestMetadataIsSentAgainWhenParametersChange"},
		{"C4e", "DESCRIBE over RTSP", "framerate and framesize of the pictures", "protocols/rtsp.TestDescriptionHasTheSizeAndTheRateOfPictures"},
		{"C5", "a stream is asked for whose source refuses connections", "503 with the reason at once, without the place of the source, while this node tries", "cluster/node.TestStreamThatHasFailedIsAnsweredWithTheReason"},
		{"C5a", "the same over FLV, HLS and RTSP", "as C5", "cluster/node.TestStreamThatHasFailedIsAnsweredWithTheReason"},
		{"C5c", "the stream is asked for over each protocol at another node, which redirects, relays or answers playlists, and below a balancer", "as C5, while it is tried and in the pause between", "cluster/node.TestFailedStreamIsAnsweredWithTheReasonEverywhere"},
		{"C5d", "the node that has the stream answers a relay that its inputs fail", "the viewers of the relay are told", "cluster/router.TestViewerOfARelayIsToldAtOnceWhyTheOwnerHasNoMedia"},
		{"C5b", "one of its inputs has failed once, or was not started yet", "the request is held: media may come", "actors/stream.TestStreamHasFailedOnceNothingMayCome"},
	}
	casesKept = []fieldCase{
		{"K1", "an RTP time that is hours ahead", "every picture is kept, in order", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"K1a", "RTP times that are hours back", "as K1", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"K1b", "RTP times of sound that are hours off", "as K1", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"K2", "Content-Base is doubled", "the media are set up", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"K2a", "Content-Base is private, or missing", "as K2", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
		{"K3", "media sequence numbers begin anew", "plays on", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"K3a", "they begin anew a little ahead or a little back", "nothing is lost", "protocols/pull/m3u8.TestFollowerGivesEachSegmentOnce"},
		{"K3b", "they begin anew, and so do the names", "nothing comes twice", "protocols/pull.TestHLSOfAllServersIsPlayed"},
		{"K4", "an extended timestamp of RTMP that chunks of type 3 do not repeat", "read", "protocols/rtmp.TestChunksBecomeMessages"},
		{"K4a", "one that they repeat, or media that looks like one", "read", "protocols/rtmp.TestChunksBecomeMessages"},
		{"K4b", "an extended timestamp of 0xffffff exactly", "read", "protocols/rtmp.TestChunksBecomeMessages"},
		{"K5", "pictures of another size on the same PIDs, as where advertising is put in", "a change of tracks", "cmd/weir/soaktest.TestSoakOfPulledInputs"},
		{"K5a", "the same over RTSP", "a change of tracks", "protocols/rtsp.TestParameterSetsThatChangeInMidStreamReachTheWriter"},
		{"K5b", "the same of a publisher over RTMP", "a change of tracks", "cluster/node.TestChangesInMidStreamReachViewersOfEveryProtocol"},
		{"K6", "timestamps of MPEG-TS that wrap at 33 bits", "go on", "cmd/weir/soaktest.TestSoakOfPulledInputs"},
		{"K6a", "timestamps of RTMP that wrap at 32 bits", "go on", "codecs/flv.TestTimestampsWrapRestartAndLeap"},
		{"K6b", "sequence numbers of RTP that wrap", "go on", "codecs/rtp.TestDatagramsComeIntoOrder"},
		{"K2b", "Content-Base has a query, and controls go before it or behind it", "as K2", "protocols/rtsp.TestMisbehaviourOfACameraCostsNoMoreThanItself"},
	}
)

// caseGroups are the parts of the page, with the ids that each has to show.
var caseGroups = []struct {
	title    string
	expected string
	cases    []fieldCase
}{
	{"MPEG-TS", "T1 T3 T5 T6 T7 T8 T9 T10", casesTS},
	{"Times, tracks and state of any input", "I1 I2 I3 I4 I5 I6 I7 I8", casesInputs},
	{"HLS pulls", "H1 H2 H4 H6 H8 H9", casesHLS},
	{"RTSP pulls", "R1 R3 R4", casesRTSP},
	{"RTMP publishers", "P1 P3 P4", casesRTMP},
	{"Players", "C1 C2 C3 C4", casesPlayers},
	{"What passes as it always did", "K1 K2 K3 K4 K5 K6", casesKept},
}

// minSiblings is how many siblings are shown of each case.
const minSiblings = 2

const casesHead = `# What the field sends

Inputs and clients as they are met, what weir does with each, and the test that shows it. An id with a letter is a sibling: the same
kind in another protocol, codec or moment. The table is made from ` + "`cmd/weir/cases_test.go`" + ` by
` + "`go test ./cmd/weir -run CasesOfTheField -update`" + `.
`

var caseID = regexp.MustCompile(`^([A-Z][0-9]+)([a-z]?)$`)

// TestCasesOfTheFieldAreShown holds testdata/cases/README.md to the table, and the table to the tests that it names.
func TestCasesOfTheFieldAreShown(t *testing.T) {
	var page bytes.Buffer
	page.WriteString(casesHead)
	var open []string
	seen := map[string]bool{}
	for _, g := range caseGroups {
		fmt.Fprintf(&page, "\n## %s\n\n| id | input | weir | test |\n|---|---|---|---|\n", g.title)
		cases := slices.Clone(g.cases)
		slices.SortStableFunc(cases, func(a, b fieldCase) int { return strings.Compare(a.id, b.id) })
		for _, c := range cases {
			if !caseID.MatchString(c.id) || seen[c.id] || c.input == "" || c.now == "" {
				t.Errorf("case %q is not complete, or its id stands twice", c.id)
			}
			seen[c.id] = true
			checkTest(t, c.test)
			fmt.Fprintf(&page, "| %s | %s | %s | `%s` |\n", c.id, c.input, c.now, c.test)
		}
		for id := range strings.FieldsSeq(g.expected) {
			siblings := 0
			for _, c := range cases {
				if m := caseID.FindStringSubmatch(c.id); m != nil && m[1] == id && m[2] != "" {
					siblings++
				}
			}
			if !seen[id] || siblings < minSiblings {
				open = append(open, fmt.Sprintf("%s (%d siblings)", id, siblings))
			}
		}
	}
	if len(open) > 0 {
		fmt.Fprintf(&page, "\nNot shown yet, or with fewer than %d siblings: %s.\n", minSiblings, strings.Join(open, ", "))
	}
	file := filepath.Join(root, "testdata", "cases", "README.md")
	if *update {
		if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, page.Bytes()) {
		t.Errorf("testdata/cases/README.md is not current (%v); run: go test ./cmd/weir -run CasesOfTheField -update", err)
	}
}

// checkTest says if a folder has no such test.
func checkTest(t *testing.T, name string) {
	t.Helper()
	folder, function, _ := strings.Cut(name, ".")
	files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(function, "Test") && declares(string(source), function) {
			return
		}
	}
	t.Errorf("there is no test %s", name)
}
