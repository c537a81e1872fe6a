/* An ALSA "sound card" that is files and clocks: no daemon, no kernel module.
 *
 * Capture frames come bit by bit from `infile` (raw s16le at the rate and in the channels that the program opens; silence
 * when it is missing or has ended), playback frames are appended to `outfile`. The hardware pointer follows
 * CLOCK_MONOTONIC, so callbacks come in real time and a program that is late gets real overruns and underruns.
 *
 * What a program plays can leak into what it records, on two clocks: with one such loudspeaker, one microphone and one
 * channel a program. The echo ends at once where playback is stopped or runs dry.
 *
 *   gcc -O2 -Wall -shared -fPIC -DPIC -o libasound_module_pcm_vcard.so pcm_vcard.c -lasound -lm -lpthread
 *
 *   pcm_type.vcard { lib "/path/libasound_module_pcm_vcard.so" }
 *   pcm.!default {
 *       type vcard
 *       infile "/path/mic.raw"
 *       outfile "/path/speaker.raw"
 *       ppm 0                     # how much faster than the system's its clock runs, in parts per million
 *       mic_ppm 0                 # the same of the microphone
 *       echo_ms 80                # how much later the microphone hears what is played
 *       echo_percent 40           # how much of it: the gain
 *       heardfile "/path/x.raw"   # everything that was recorded, the echo included
 *       min_rate 44100            # what it takes: 8000 to 48000 Hz and 1 or 2 channels unless told otherwise
 *       max_rate 48000
 *       min_channels 2
 *       max_channels 2
 *       patience_ms 0             # how late a program may be, beyond its buffer, and lose nothing: as with a sound server
 *   }
 */
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    snd_pcm_ioplug_t io;
    int timer, file, heard, running;
    double speed;                        /* 1 + ppm/1e6 */
    double patience;                     /* s */
    double echo_s, echo_gain;
    struct timespec started;
    unsigned long long moved;            /* frames that the program has read or written since prepare */
} vcard_t;

typedef struct {
    const char *infile, *outfile, *heardfile;
    long ppm, mic_ppm, patience_ms, echo_ms, echo_percent, min_rate, max_rate, min_channels, max_channels;
} settings_t;

/* What is in the air: the last frames that were played, and when. */
#define N_AIR (1 << 17)
#define HALF_WIDTH 16                    /* frames on each side that the resampler looks at */
#define N_PHASES 1024                    /* positions between two frames that it knows */
static struct {
    pthread_mutex_t lock;
    double cutoff;                       /* of `taps`, as a share of the rate at which is played */
    float taps[N_PHASES][2 * HALF_WIDTH];
    short frames[N_AIR];
    unsigned long long written;          /* frames since prepare */
    int playing;
    struct timespec started;
    double rate;                         /* frames a second of the system's clock */
} air = {.lock = PTHREAD_MUTEX_INITIALIZER};

static double seconds_between(const struct timespec *from, const struct timespec *to)
{
    return (to->tv_sec - from->tv_sec) + (to->tv_nsec - from->tv_nsec) * 1e-9;
}

static unsigned long long frames_of_clock(const vcard_t *card)
{
    struct timespec now;
    double elapsed;
    if (!card->running)
        return 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    elapsed = seconds_between(&card->started, &now);
    return (unsigned long long)(elapsed * card->speed * card->io.rate);
}

/* The program's poll() wakes up at each tick: a quarter of a period, between 0.5 and 1 ms. */
static int start_ticking(vcard_t *card)
{
    struct itimerspec tick = {0};
    long ns = (long)(1e9 * card->io.period_size / card->io.rate / 4);
    if (ns < 500000)
        ns = 500000;
    if (ns > 1000000)
        ns = 1000000;
    tick.it_interval.tv_nsec = ns;
    tick.it_value = tick.it_interval;
    return timerfd_settime(card->timer, 0, &tick, NULL) < 0 ? -errno : 0;
}

static int vcard_start(snd_pcm_ioplug_t *io)
{
    vcard_t *card = io->private_data;
    clock_gettime(CLOCK_MONOTONIC, &card->started);
    card->running = 1;
    if (io->stream == SND_PCM_STREAM_PLAYBACK && card->echo_gain) {
        pthread_mutex_lock(&air.lock);
        air.started = card->started;
        air.rate = card->speed * io->rate;
        air.playing = 1;
        pthread_mutex_unlock(&air.lock);
    }
    return start_ticking(card);
}

static int vcard_stop(snd_pcm_ioplug_t *io)
{
    vcard_t *card = io->private_data;
    struct itimerspec never = {0};
    card->running = 0;
    if (io->stream == SND_PCM_STREAM_PLAYBACK && card->echo_gain) {
        pthread_mutex_lock(&air.lock);
        air.playing = 0;
        pthread_mutex_unlock(&air.lock);
    }
    timerfd_settime(card->timer, 0, &never, NULL);
    return 0;
}

static int vcard_prepare(snd_pcm_ioplug_t *io)
{
    vcard_t *card = io->private_data;
    vcard_stop(io);
    card->moved = 0;
    if (io->stream == SND_PCM_STREAM_PLAYBACK && card->echo_gain) {
        pthread_mutex_lock(&air.lock);
        air.written = 0;
        pthread_mutex_unlock(&air.lock);
    }
    /* PortAudio polls for room before it starts to play on a device without mmap. */
    return start_ticking(card);
}

static snd_pcm_sframes_t vcard_pointer(snd_pcm_ioplug_t *io)
{
    const vcard_t *card = io->private_data;
    unsigned long long position = frames_of_clock(card), end = card->moved, patience = card->patience * io->rate;
    if (io->stream == SND_PCM_STREAM_CAPTURE)
        end += io->buffer_size;
    if (card->running && position >= end) {
        if (io->state == SND_PCM_STATE_DRAINING)
            position = end;
        else if (position > end + patience)
            return -EPIPE;               /* overrun or underrun */
        else
            position = end ? end - 1 : 0; /* a whole buffer further would look like nowhere at all */
    }
    return position % io->buffer_size;
}

static void play_into_air(const short *frames, size_t n)
{
    size_t i;
    pthread_mutex_lock(&air.lock);
    for (i = 0; i < n; i++)
        air.frames[air.written++ % N_AIR] = frames[i];
    pthread_mutex_unlock(&air.lock);
}

/* Without what the microphone's rate cannot hold. */
static void make_taps(double cutoff)
{
    int phase, i;
    air.cutoff = cutoff;
    for (phase = 0; phase < N_PHASES; phase++)
        for (i = 0; i < 2 * HALF_WIDTH; i++) {
            double x = (double)phase / N_PHASES + HALF_WIDTH - 1 - i, taper = cos(M_PI * x / (2 * HALF_WIDTH));
            double sinc = fabs(x) < 1e-9 ? cutoff : sin(M_PI * cutoff * x) / (M_PI * x);
            air.taps[phase][i] = (float)(sinc * taper * taper);
        }
}

/* What is in the air at a position between two frames. */
static double air_at(double position)
{
    long long frame = (long long)floor(position), first = frame - HALF_WIDTH + 1;
    const float *taps = air.taps[(int)((position - frame) * N_PHASES)];
    double sum = 0;
    int i;
    if (first < 0 || first + 2 * HALF_WIDTH > (long long)air.written || first + N_AIR < (long long)air.written)
        return 0;
    for (i = 0; i < 2 * HALF_WIDTH; i++)
        sum += air.frames[(first + i) % N_AIR] * taps[i];
    return sum;
}

static void add_echo(const vcard_t *card, short *frames, size_t n)
{
    double rate = card->speed * card->io.rate, since;
    size_t i;
    pthread_mutex_lock(&air.lock);
    if (air.playing) {
        double cutoff = fmin(1, rate / air.rate);
        if (cutoff != air.cutoff)
            make_taps(cutoff);
        since = seconds_between(&air.started, &card->started) - card->echo_s;
        for (i = 0; i < n; i++) {
            double position = (since + (card->moved + i) / rate) * air.rate;
            double sum = frames[i] + card->echo_gain * air_at(position);
            frames[i] = (short)lrint(fmax(-32768, fmin(32767, sum)));
        }
    }
    pthread_mutex_unlock(&air.lock);
}

static snd_pcm_sframes_t vcard_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *area,
                                        snd_pcm_uframes_t offset, snd_pcm_uframes_t frames)
{
    vcard_t *card = io->private_data;
    size_t wanted = frames * (area->step / 8);
    char *data = (char *)area->addr + (area->first + area->step * offset) / 8;
    if (io->stream == SND_PCM_STREAM_PLAYBACK) {
        if (card->file >= 0 && write(card->file, data, wanted) != (ssize_t)wanted)
            return -EIO;
        if (card->echo_gain)
            play_into_air((const short *)data, frames);
    } else {
        ssize_t got = card->file >= 0 ? read(card->file, data, wanted) : 0;
        if (got < 0)
            return -EIO;
        memset(data + got, 0, wanted - got);
        if (card->echo_gain)
            add_echo(card, (short *)data, frames);
        if (card->heard >= 0 && write(card->heard, data, wanted) != (ssize_t)wanted)
            return -EIO;
    }
    card->moved += frames;
    return frames;
}

static int vcard_poll_revents(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned int n_fds, unsigned short *revents)
{
    vcard_t *card = io->private_data;
    unsigned long long ticks;
    snd_pcm_sframes_t available;
    if (read(card->timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
        return -errno;
    /* After an overrun PortAudio only prepares a device without mmap, it does not start it again. */
    if (io->stream == SND_PCM_STREAM_CAPTURE && io->state == SND_PCM_STATE_PREPARED && !card->running)
        snd_pcm_start(io->pcm);
    available = snd_pcm_avail_update(io->pcm);
    *revents = 0;
    if (available < 0 || (snd_pcm_uframes_t)available >= io->period_size)
        *revents = io->stream == SND_PCM_STREAM_PLAYBACK ? POLLOUT : POLLIN;
    return 0;
}

static void discard(vcard_t *card)
{
    if (card->file >= 0)
        close(card->file);
    if (card->heard >= 0)
        close(card->heard);
    close(card->timer);
    free(card);
}

static int vcard_close(snd_pcm_ioplug_t *io)
{
    vcard_t *card = io->private_data;
    discard(card);
    return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
    .start = vcard_start, .stop = vcard_stop, .pointer = vcard_pointer, .transfer = vcard_transfer,
    .prepare = vcard_prepare, .poll_revents = vcard_poll_revents, .close = vcard_close,
};

static int read_settings(snd_config_t *conf, settings_t *settings)
{
    snd_config_iterator_t i, next;
    snd_config_for_each(i, next, conf) {
        snd_config_t *node = snd_config_iterator_entry(i);
        const char *id;
        int err = 0;
        if (snd_config_get_id(node, &id) < 0 || !strcmp(id, "comment") || !strcmp(id, "type") || !strcmp(id, "hint"))
            continue;
        if (!strcmp(id, "infile"))
            err = snd_config_get_string(node, &settings->infile);
        else if (!strcmp(id, "outfile"))
            err = snd_config_get_string(node, &settings->outfile);
        else if (!strcmp(id, "ppm"))
            err = snd_config_get_integer(node, &settings->ppm);
        else if (!strcmp(id, "mic_ppm"))
            err = snd_config_get_integer(node, &settings->mic_ppm);
        else if (!strcmp(id, "echo_ms"))
            err = snd_config_get_integer(node, &settings->echo_ms);
        else if (!strcmp(id, "echo_percent"))
            err = snd_config_get_integer(node, &settings->echo_percent);
        else if (!strcmp(id, "heardfile"))
            err = snd_config_get_string(node, &settings->heardfile);
        else if (!strcmp(id, "patience_ms"))
            err = snd_config_get_integer(node, &settings->patience_ms);
        else if (!strcmp(id, "min_rate"))
            err = snd_config_get_integer(node, &settings->min_rate);
        else if (!strcmp(id, "max_rate"))
            err = snd_config_get_integer(node, &settings->max_rate);
        else if (!strcmp(id, "min_channels"))
            err = snd_config_get_integer(node, &settings->min_channels);
        else if (!strcmp(id, "max_channels"))
            err = snd_config_get_integer(node, &settings->max_channels);
        else
            err = -EINVAL;
        if (err < 0) {
            SNDERR("vcard: bad field %s", id);
            return err;
        }
    }
    return 0;
}

static void limit(vcard_t *card, const settings_t *settings)
{
    long max_channels = card->echo_gain ? settings->min_channels : settings->max_channels;
    static const unsigned int access[] = {SND_PCM_ACCESS_RW_INTERLEAVED}, format[] = {SND_PCM_FORMAT_S16_LE};
    snd_pcm_ioplug_t *io = &card->io;
    snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 1, access);
    snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 1, format);
    snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_CHANNELS, settings->min_channels, max_channels);
    snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_RATE, settings->min_rate, settings->max_rate);
    snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, 128, 65536);
    snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_BUFFER_BYTES, 512, 262144);
    snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIODS, 2, 64);
}

SND_PCM_PLUGIN_DEFINE_FUNC(vcard)
{
    settings_t settings = {.min_rate = 8000, .max_rate = 48000, .min_channels = 1, .max_channels = 2};
    vcard_t *card;
    int err = read_settings(conf, &settings);
    if (err < 0)
        return err;
    card = calloc(1, sizeof *card);
    if (!card)
        return -ENOMEM;
    card->speed = 1 + (stream == SND_PCM_STREAM_CAPTURE ? settings.mic_ppm : settings.ppm) * 1e-6;
    card->echo_s = settings.echo_ms * 1e-3;
    card->echo_gain = settings.echo_percent * 1e-2;
    card->patience = settings.patience_ms * 1e-3;
    card->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    card->file = card->heard = -1;
    if (stream == SND_PCM_STREAM_PLAYBACK && settings.outfile)
        card->file = open(settings.outfile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (stream == SND_PCM_STREAM_CAPTURE && settings.infile)
        card->file = open(settings.infile, O_RDONLY | O_CLOEXEC);
    if (stream == SND_PCM_STREAM_CAPTURE && settings.heardfile)
        card->heard = open(settings.heardfile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    card->io.version = SND_PCM_IOPLUG_VERSION;
    card->io.name = "vcard: files and a clock";
    card->io.callback = &callbacks;
    card->io.private_data = card;
    card->io.poll_fd = card->timer;
    card->io.poll_events = POLLIN;
    err = snd_pcm_ioplug_create(&card->io, name, stream, mode);
    if (err < 0) {
        discard(card);
        return err;
    }
    limit(card, &settings);
    *pcmp = card->io.pcm;
    return 0;
}
SND_PCM_PLUGIN_SYMBOL(vcard);
