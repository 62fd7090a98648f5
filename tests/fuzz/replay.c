/* SPDX-License-Identifier: Apache-2.0
 * Gives every file of the folders that are named on its command line to the fuzzer's function. */
#include <dirent.h>

#include "fuzz.h"

enum { LARGEST = 1 << 20 };

static void replay(const char *path)
{
    static uint8_t room[LARGEST];
    FILE *file = fopen(path, "rb");
    must(file);
    size_t size = fread(room, 1, sizeof room, file);
    (void)fclose(file);
    uint8_t *data = malloc(size + !size); /* as large as it is, so that reading beyond it is seen */
    must(data);
    memcpy(data, room, size);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
}

int main(int argc, char **argv)
{
    int n = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        must(folder);
        for (struct dirent *entry; (entry = readdir(folder));) {
            char path[4096];
            if (*entry->d_name == '.')
                continue;
            (void)snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            (void)fprintf(stderr, "%s\n", path); /* the last one is the culprit */
            replay(path);
            n++;
        }
        (void)closedir(folder);
    }
    printf("%d inputs\n", n);
    return n > 0 ? 0 : 1;
}
