/* Speaks lines with flite and says where each word starts, from flite's own segment times.
 *
 * A line of input is  voice<TAB>stretch<TAB>pitch<TAB>file<TAB>text : one of the voices below, how much slower than usual to
 * speak, the mean pitch in Hz (0 for the voice's own), and where to write the raw 16-bit samples. A line of output is
 * file<TAB>sample rate<TAB>word,start,end;word,start,end;...  in seconds.
 */
#include <flite/flite.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cst_voice *register_cmu_us_awb(const char *);
cst_voice *register_cmu_us_kal(const char *);
cst_voice *register_cmu_us_kal16(const char *);
cst_voice *register_cmu_us_rms(const char *);
cst_voice *register_cmu_us_slt(const char *);

enum { VOICE, STRETCH, PITCH, FILE_NAME, TEXT, FIELDS };

static struct {
    const char *name;
    cst_voice *(*load)(const char *);
    cst_voice *voice;
} voices[] = {
    {"awb", register_cmu_us_awb, NULL}, {"kal", register_cmu_us_kal, NULL}, {"kal16", register_cmu_us_kal16, NULL},
    {"rms", register_cmu_us_rms, NULL}, {"slt", register_cmu_us_slt, NULL},
};

static cst_voice *find_voice(const char *name) {
    for (size_t i = 0; i < sizeof voices / sizeof *voices; i++) {
        if (strcmp(voices[i].name, name) != 0)
            continue;
        if (!voices[i].voice)
            voices[i].voice = voices[i].load(NULL);
        return voices[i].voice;
    }
    fprintf(stderr, "flite_words: there is no voice %s\n", name);
    exit(1);
}

static int split(char *line, char *fields[FIELDS]) {
    int count = 0;
    line[strcspn(line, "\n")] = 0;
    while (count < FIELDS) {
        fields[count++] = line;
        line = strchr(line, '\t');
        if (!line)
            break;
        *line++ = 0;
    }
    return count == FIELDS;
}

static void print_words(cst_utterance *utterance) {
    for (cst_item *word = relation_head(utt_relation(utterance, "Word")); word; word = item_next(word)) {
        const cst_item *first = path_to_item(word, "R:SylStructure.daughter1.daughter1.R:Segment");
        const cst_item *last = path_to_item(word, "R:SylStructure.daughtern.daughtern.R:Segment");
        if (!first || !last)
            continue;
        float start = item_prev(first) ? item_feat_float(item_prev(first), "end") : 0;
        printf("%s,%.3f,%.3f;", item_feat_string(word, "name"), start, item_feat_float(last, "end"));
    }
    printf("\n");
    fflush(stdout);
}

static void speak(char *fields[FIELDS]) {
    cst_voice *voice = find_voice(fields[VOICE]);
    feat_set_float(voice->features, "duration_stretch", atof(fields[STRETCH]));
    if (atof(fields[PITCH]) > 0)
        feat_set_float(voice->features, "int_f0_target_mean", atof(fields[PITCH]));
    cst_utterance *utterance = flite_synth_text(fields[TEXT], voice);
    cst_wave *wave = utt_wave(utterance);
    FILE *file = fopen(fields[FILE_NAME], "wb");
    if (!file) {
        perror(fields[FILE_NAME]);
        exit(1);
    }
    fwrite(wave->samples, 2, (size_t)wave->num_samples * wave->num_channels, file);
    fclose(file);
    printf("%s\t%d\t", fields[FILE_NAME], wave->sample_rate);
    print_words(utterance);
    delete_utterance(utterance);
}

int main(void) {
    static char line[8192];
    char *fields[FIELDS];
    flite_init();
    while (fgets(line, sizeof line, stdin)) {
        if (!split(line, fields)) {
            fprintf(stderr, "flite_words: a line needs five fields\n");
            return 1;
        }
        speak(fields);
    }
    return 0;
}
